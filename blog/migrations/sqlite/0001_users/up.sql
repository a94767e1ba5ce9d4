-- A user as SSO tells of it, with what it shows as an author. A row with deleted_at is a tombstone: the id and the version of the deletion, and
-- nothing of the person. One table for both, so that one guarded statement settles every race between a create and a delete.
CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    version       INTEGER NOT NULL CHECK (version >= 1),
    username      TEXT    NOT NULL,
    -- The username without regard to case. Not unique: a swap of two names may arrive in any order.
    username_key  TEXT    NOT NULL,
    -- The numbers of the contract's AccountType and OfficialTier; 0 in a tombstone.
    account_type  INTEGER NOT NULL CHECK (account_type BETWEEN 0 AND 2),
    official_tier INTEGER NOT NULL CHECK (official_tier BETWEEN 0 AND 3),
    -- NULL until the person says otherwise: the username is shown.
    display_name  TEXT    NULL,
    about         TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    deleted_at    INTEGER NULL,
    CHECK (deleted_at IS NULL OR (username = '' AND username_key = '' AND account_type = 0 AND official_tier = 0
        AND display_name IS NULL AND about = ''))
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_username ON users (username_key, version);

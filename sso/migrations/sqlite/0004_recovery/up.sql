-- A forgotten password that is to be replaced. Without a user it is a decoy: nobody has the identifier verified, and nobody is told so.
CREATE TABLE resets (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE,
    kind       INTEGER NOT NULL CHECK (kind IN (1, 2)),
    value      TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX resets_user ON resets (user_id);
CREATE INDEX resets_created ON resets (created_at);

-- How often a password was tried lately, by a keyed digest of for whom and from where.
CREATE TABLE tallies (
    subject    BLOB NOT NULL PRIMARY KEY CHECK (length(subject) = 32),
    tries      INTEGER NOT NULL CHECK (tries >= 0),
    since      INTEGER NOT NULL,
    free_at    INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tallies_kept_until ON tallies (kept_until);

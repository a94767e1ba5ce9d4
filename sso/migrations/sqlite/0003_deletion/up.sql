-- A debt outlives its user: what is owed may be the deletion. SQLite drops no constraint, so the table is made anew without it.
CREATE TABLE provisioning_next (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id    BLOB NOT NULL,
    target     INTEGER NOT NULL CHECK (target IN (1, 2)),
    due_at     INTEGER,
    token      BLOB NOT NULL CHECK (length(token) = 16),
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO provisioning_next (id, user_id, target, due_at, token, attempts, last_error, created_at)
    SELECT id, user_id, target, due_at, token, attempts, last_error, created_at FROM provisioning;
DROP TABLE provisioning;
ALTER TABLE provisioning_next RENAME TO provisioning;
CREATE UNIQUE INDEX provisioning_user_id_target_key ON provisioning (user_id, target);
CREATE INDEX provisioning_due ON provisioning (target, due_at);

-- A user that is deleted here and not yet everywhere: all that is kept is what the targets have to be told. It goes with the last debt.
CREATE TABLE tombstones (
    user_id    BLOB NOT NULL PRIMARY KEY CHECK (length(user_id) = 16),
    version    INTEGER NOT NULL CHECK (version > 0),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sign-ups that were never verified, oldest first.
CREATE INDEX users_unverified ON users (is_verified, created_at);

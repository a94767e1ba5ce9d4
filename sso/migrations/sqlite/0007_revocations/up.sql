-- A session that ended before its access tokens do: told to the services that verify them, and kept until the last is dead.
CREATE TABLE revocations (
    session_id BLOB NOT NULL PRIMARY KEY CHECK (length(session_id) = 16),
    revoked_at INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_revoked ON revocations (revoked_at, session_id);
CREATE INDEX revocations_kept_until ON revocations (kept_until);

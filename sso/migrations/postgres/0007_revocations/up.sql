-- A session that ended before its access tokens do: told to the services that verify them, and kept until the last is dead.
CREATE TABLE revocations (
    session_id uuid NOT NULL PRIMARY KEY,
    revoked_at timestamptz NOT NULL,
    kept_until timestamptz NOT NULL
);
CREATE INDEX revocations_revoked ON revocations (revoked_at, session_id);
CREATE INDEX revocations_kept_until ON revocations (kept_until);

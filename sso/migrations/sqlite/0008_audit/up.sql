-- What was decided, and why. Rows are added, and taken away when they are old; none is changed. No reference to users: it outlives them.
CREATE TABLE audit_events (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind       INTEGER NOT NULL,
    reason     INTEGER NOT NULL,
    user_id    BLOB,
    session_id BLOB,
    operator   TEXT NOT NULL,
    network    TEXT NOT NULL,
    count      INTEGER NOT NULL CHECK (count > 0),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_events_user ON audit_events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_created ON audit_events (created_at);
CREATE TRIGGER audit_events_append_only BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END;

-- What was decided, and why. Rows are added, and taken away when they are old; none is changed. No reference to users: it outlives them.
CREATE TABLE audit_events (
    id         uuid NOT NULL PRIMARY KEY,
    kind       smallint NOT NULL,
    reason     smallint NOT NULL,
    user_id    uuid,
    session_id uuid,
    operator   text NOT NULL,
    network    text NOT NULL,
    count      bigint NOT NULL CHECK (count > 0),
    created_at timestamptz NOT NULL
);
CREATE INDEX audit_events_user ON audit_events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_created ON audit_events (created_at);
CREATE RULE audit_events_append_only AS ON UPDATE TO audit_events DO INSTEAD NOTHING;

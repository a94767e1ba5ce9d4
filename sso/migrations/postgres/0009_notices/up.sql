-- What users are to be told by way of SMS: leased work, as the module db::work describes it. SMS is asked under message_id, so that it sends one message
-- however often it is asked.
CREATE TABLE notices (
    id              uuid NOT NULL PRIMARY KEY,
    message_id      uuid NOT NULL,
    target          smallint NOT NULL CHECK (target = 1), -- SMS
    due_at          timestamptz,
    token           uuid NOT NULL,
    attempts        integer NOT NULL CHECK (attempts >= 0),
    last_error      text NOT NULL,
    created_at      timestamptz NOT NULL,
    user_id         uuid REFERENCES users (id) ON DELETE CASCADE,
    notice          smallint,
    identifier_kind smallint,
    identifier      text
);
CREATE UNIQUE INDEX notices_message_id_target_key ON notices (message_id, target);
CREATE INDEX notices_due ON notices (target, due_at);
CREATE INDEX notices_user ON notices (user_id);

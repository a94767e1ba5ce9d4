-- What users are to be told by way of SMS: leased work, as the module db::work describes it. SMS is asked under message_id, so that it sends one message
-- however often it is asked.
CREATE TABLE notices (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    message_id      BLOB NOT NULL CHECK (length(message_id) = 16),
    target          INTEGER NOT NULL CHECK (target = 1), -- SMS
    due_at          INTEGER,
    token           BLOB NOT NULL CHECK (length(token) = 16),
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    last_error      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    user_id         BLOB REFERENCES users (id) ON DELETE CASCADE,
    notice          INTEGER,
    identifier_kind INTEGER,
    identifier      TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX notices_message_id_target_key ON notices (message_id, target);
CREATE INDEX notices_due ON notices (target, due_at);
CREATE INDEX notices_user ON notices (user_id);

-- Messages that no carrier has taken yet: leased work, as the module db::work describes it. The message itself is not here: it is made anew from
-- the send, its verification and the key.
CREATE TABLE deliveries (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    send_id    BLOB    NOT NULL CHECK (length(send_id) = 16),
    target     INTEGER NOT NULL CHECK (target IN (1, 2)), -- 1 text messages, 2 mail
    due_at     INTEGER,
    token      BLOB    NOT NULL CHECK (length(token) = 16),
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX deliveries_send_id_target_key ON deliveries (send_id, target);
CREATE INDEX deliveries_due ON deliveries (target, due_at);

-- Messages that no carrier has taken yet: leased work, as the module db::work describes it. The message itself is not here: it is made anew from
-- the send, its verification and the key.
CREATE TABLE deliveries (
    id         uuid        NOT NULL PRIMARY KEY,
    send_id    uuid        NOT NULL,
    target     smallint    NOT NULL CHECK (target IN (1, 2)), -- 1 text messages, 2 mail
    due_at     timestamptz,
    token      uuid        NOT NULL,
    attempts   integer     NOT NULL CHECK (attempts >= 0),
    last_error text        NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX deliveries_send_id_target_key ON deliveries (send_id, target);
CREATE INDEX deliveries_due ON deliveries (target, due_at);

-- Messages without a code. One that no carrier has taken yet is a row in deliveries too, whose send_id is the id here.
CREATE TABLE notices (
    id          uuid        NOT NULL PRIMARY KEY,
    request_id  uuid        NOT NULL,
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 32),
    notice      smallint    NOT NULL CHECK (notice > 0),
    destination text        NOT NULL,
    sent_at     timestamptz NOT NULL,
    kept_until  timestamptz NOT NULL
);
CREATE UNIQUE INDEX notices_request_id_key ON notices (request_id);
CREATE INDEX notices_destination ON notices (destination, notice, sent_at);
CREATE INDEX notices_kept_until ON notices (kept_until);

-- Messages without a code. One that no carrier has taken yet is a row in deliveries too, whose send_id is the id here.
CREATE TABLE notices (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    request_id  BLOB    NOT NULL CHECK (length(request_id) = 16),
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    notice      INTEGER NOT NULL CHECK (notice > 0),
    destination TEXT    NOT NULL,
    sent_at     INTEGER NOT NULL,
    kept_until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX notices_request_id_key ON notices (request_id);
CREATE INDEX notices_destination ON notices (destination, notice, sent_at);
CREATE INDEX notices_kept_until ON notices (kept_until);

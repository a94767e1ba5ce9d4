-- Times are microseconds since 1970, ids are the 16 bytes of a UUID. No row outlives its kept_until by more than a sweep.
CREATE TABLE verifications (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id         BLOB    NOT NULL CHECK (length(user_id) = 16),
    purpose         INTEGER NOT NULL CHECK (purpose = 1),
    destination     TEXT    NOT NULL,
    decoy           INTEGER NOT NULL CHECK (decoy IN (0, 1)),
    state           INTEGER NOT NULL CHECK (state IN (1, 2)), -- 1 pending, 2 approved
    sends           INTEGER NOT NULL CHECK (sends >= 1),
    guesses         INTEGER NOT NULL CHECK (guesses >= 0),
    code_seal       BLOB    NOT NULL CHECK (length(code_seal) = 32),
    code_expires_at INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL,
    approved_at     INTEGER,
    acknowledged_at INTEGER,
    kept_until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX verifications_kept_until ON verifications (kept_until);

CREATE TABLE sends (
    request_id      BLOB    NOT NULL PRIMARY KEY CHECK (length(request_id) = 16),
    verification_id BLOB    NOT NULL CHECK (length(verification_id) = 16),
    destination     TEXT    NOT NULL,
    fingerprint     BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    number          INTEGER NOT NULL CHECK (number >= 1),
    reference       TEXT    NOT NULL CHECK (length(reference) = 2),
    outcome         INTEGER, -- NULL until the carrier has answered
    guesses_left    INTEGER NOT NULL CHECK (guesses_left >= 0),
    sent_at         INTEGER NOT NULL,
    code_expires_at INTEGER NOT NULL,
    cool_down_ends  INTEGER NOT NULL,
    resend_after    INTEGER NOT NULL,
    kept_until      INTEGER NOT NULL,
    UNIQUE (verification_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX sends_destination ON sends (destination, sent_at);
CREATE INDEX sends_kept_until ON sends (kept_until);

CREATE TABLE guesses (
    verification_id BLOB    NOT NULL CHECK (length(verification_id) = 16),
    request_id      BLOB    NOT NULL CHECK (length(request_id) = 16),
    destination     TEXT    NOT NULL,
    guess_seal      BLOB    NOT NULL CHECK (length(guess_seal) = 32),
    counted         INTEGER NOT NULL CHECK (counted IN (0, 1)),
    verdict         INTEGER NOT NULL CHECK (verdict BETWEEN 1 AND 5),
    guesses_left    INTEGER NOT NULL CHECK (guesses_left >= 0),
    guessed_at      INTEGER NOT NULL,
    kept_until      INTEGER NOT NULL,
    PRIMARY KEY (verification_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX guesses_destination ON guesses (destination, counted, guessed_at);
CREATE INDEX guesses_kept_until ON guesses (kept_until);

-- One row for each destination in use: whoever counts its sends or guesses locks it first.
CREATE TABLE destinations (
    destination TEXT    NOT NULL PRIMARY KEY,
    kept_until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX destinations_kept_until ON destinations (kept_until);

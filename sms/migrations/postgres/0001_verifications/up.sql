-- No row outlives its kept_until by more than a sweep.
CREATE TABLE verifications (
    id              uuid        NOT NULL PRIMARY KEY,
    user_id         uuid        NOT NULL,
    purpose         smallint    NOT NULL CHECK (purpose = 1),
    destination     text        NOT NULL,
    decoy           boolean     NOT NULL,
    state           smallint    NOT NULL CHECK (state IN (1, 2)), -- 1 pending, 2 approved
    sends           smallint    NOT NULL CHECK (sends >= 1),
    guesses         smallint    NOT NULL CHECK (guesses >= 0),
    code_seal       bytea       NOT NULL CHECK (length(code_seal) = 32),
    code_expires_at timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    approved_at     timestamptz,
    acknowledged_at timestamptz,
    kept_until      timestamptz NOT NULL
);
CREATE INDEX verifications_kept_until ON verifications (kept_until);

CREATE TABLE sends (
    request_id      uuid        NOT NULL PRIMARY KEY,
    verification_id uuid        NOT NULL,
    destination     text        NOT NULL,
    fingerprint     bytea       NOT NULL CHECK (length(fingerprint) = 32),
    number          smallint    NOT NULL CHECK (number >= 1),
    reference       text        NOT NULL CHECK (length(reference) = 2),
    outcome         smallint, -- NULL until the carrier has answered
    guesses_left    smallint    NOT NULL CHECK (guesses_left >= 0),
    sent_at         timestamptz NOT NULL,
    code_expires_at timestamptz NOT NULL,
    cool_down_ends  timestamptz NOT NULL,
    resend_after    timestamptz NOT NULL,
    kept_until      timestamptz NOT NULL,
    UNIQUE (verification_id, number)
);
CREATE INDEX sends_destination ON sends (destination, sent_at);
CREATE INDEX sends_kept_until ON sends (kept_until);

CREATE TABLE guesses (
    verification_id uuid        NOT NULL,
    request_id      uuid        NOT NULL,
    destination     text        NOT NULL,
    guess_seal      bytea       NOT NULL CHECK (length(guess_seal) = 32),
    counted         boolean     NOT NULL,
    verdict         smallint    NOT NULL CHECK (verdict BETWEEN 1 AND 5),
    guesses_left    smallint    NOT NULL CHECK (guesses_left >= 0),
    guessed_at      timestamptz NOT NULL,
    kept_until      timestamptz NOT NULL,
    PRIMARY KEY (verification_id, request_id)
);
CREATE INDEX guesses_destination ON guesses (destination, counted, guessed_at);
CREATE INDEX guesses_kept_until ON guesses (kept_until);

-- One row for each destination in use: whoever counts its sends or guesses locks it first.
CREATE TABLE destinations (
    destination text        NOT NULL PRIMARY KEY,
    kept_until  timestamptz NOT NULL
);
CREATE INDEX destinations_kept_until ON destinations (kept_until);

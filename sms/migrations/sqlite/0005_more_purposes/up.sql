-- What a code may be for is the contract's to say: one more needs no migration any longer. SQLite changes no
-- constraint, so the table is made anew.
CREATE TABLE verifications_next (
    id              BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id         BLOB    NOT NULL CHECK (length(user_id) = 16),
    purpose         INTEGER NOT NULL CHECK (purpose > 0),
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
INSERT INTO verifications_next
    (id, user_id, purpose, destination, decoy, state, sends, guesses, code_seal, code_expires_at, created_at, ends_at,
    approved_at, acknowledged_at, kept_until)
    SELECT id, user_id, purpose, destination, decoy, state, sends, guesses, code_seal, code_expires_at, created_at, ends_at,
    approved_at, acknowledged_at, kept_until
    FROM verifications;
DROP TABLE verifications;
ALTER TABLE verifications_next RENAME TO verifications;
CREATE INDEX verifications_kept_until ON verifications (kept_until);

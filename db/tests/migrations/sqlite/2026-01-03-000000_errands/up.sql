CREATE TABLE errands (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    whose    BLOB    NOT NULL CHECK (length(whose) = 16),
    target     INTEGER NOT NULL CHECK (target IN (1, 2)),
    due_at     INTEGER,
    token      BLOB    NOT NULL CHECK (length(token) = 16),
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX errands_whose_target_key ON errands (whose, target);
CREATE INDEX errands_due ON errands (target, due_at);
CREATE INDEX errands_owed ON errands (target, created_at);

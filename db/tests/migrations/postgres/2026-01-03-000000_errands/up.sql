CREATE TABLE errands (
    id         uuid        NOT NULL PRIMARY KEY,
    whose    uuid        NOT NULL,
    target     smallint    NOT NULL CHECK (target IN (1, 2)),
    due_at     timestamptz,
    token      uuid        NOT NULL,
    attempts   integer     NOT NULL CHECK (attempts >= 0),
    last_error text        NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX errands_whose_target_key ON errands (whose, target);
CREATE INDEX errands_due ON errands (target, due_at);
CREATE INDEX errands_owed ON errands (target, created_at);

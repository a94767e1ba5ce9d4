CREATE TABLE people (
    id         uuid        NOT NULL PRIMARY KEY,
    username   text        NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE owed (
    person_id uuid        NOT NULL,
    target    smallint    NOT NULL,
    due_at    timestamptz NOT NULL,
    PRIMARY KEY (person_id, target)
);

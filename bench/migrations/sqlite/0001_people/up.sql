CREATE TABLE people (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    username   TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE owed (
    person_id BLOB    NOT NULL,
    target    INTEGER NOT NULL,
    due_at    INTEGER NOT NULL,
    PRIMARY KEY (person_id, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind       INTEGER NOT NULL,
    username   TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    visits     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_kind_username_key ON users (kind, username);
CREATE UNIQUE INDEX users_lower_email ON users (lower(email));

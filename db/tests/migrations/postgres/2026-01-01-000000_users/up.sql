CREATE TABLE users (
    id         uuid        NOT NULL PRIMARY KEY,
    kind       smallint    NOT NULL,
    username   text        NOT NULL,
    email      text        NOT NULL,
    visits     bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz,
    CONSTRAINT users_kind_username_key UNIQUE (kind, username)
);
CREATE UNIQUE INDEX users_lower_email ON users (lower(email));

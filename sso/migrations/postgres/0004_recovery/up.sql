-- A forgotten password that is to be replaced. Without a user it is a decoy: nobody has the identifier verified, and nobody is told so.
CREATE TABLE resets (
    id         uuid NOT NULL PRIMARY KEY,
    user_id    uuid REFERENCES users (id) ON DELETE CASCADE,
    kind       smallint NOT NULL CHECK (kind IN (1, 2)),
    value      text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX resets_user ON resets (user_id);
CREATE INDEX resets_created ON resets (created_at);

-- How often a password was tried lately, by a keyed digest of for whom and from where.
CREATE TABLE tallies (
    subject    bytea NOT NULL PRIMARY KEY CHECK (length(subject) = 32),
    tries      integer NOT NULL CHECK (tries >= 0),
    since      timestamptz NOT NULL,
    free_at    timestamptz NOT NULL,
    kept_until timestamptz NOT NULL
);
CREATE INDEX tallies_kept_until ON tallies (kept_until);

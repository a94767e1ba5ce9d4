CREATE TABLE users (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    username        TEXT NOT NULL,
    username_folded TEXT NOT NULL,
    account_type    INTEGER NOT NULL CHECK (account_type IN (1, 2)),
    official_tier   INTEGER NOT NULL CHECK (official_tier BETWEEN 0 AND 3),
    password_hash   TEXT,
    is_verified     INTEGER NOT NULL CHECK (is_verified IN (0, 1)),
    version         INTEGER NOT NULL CHECK (version > 0),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_username_folded_key ON users (username_folded);

-- An e-mail address or a phone number somebody claims. Any number of users may claim one; one may have it verified.
CREATE TABLE identifiers (
    id          BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2)),
    value       TEXT NOT NULL,
    is_verified INTEGER NOT NULL CHECK (is_verified IN (0, 1)),
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX identifiers_user_id_kind_key ON identifiers (user_id, kind);
CREATE UNIQUE INDEX identifiers_value_key ON identifiers (value) WHERE is_verified = 1;
CREATE INDEX identifiers_value ON identifiers (value);

CREATE TABLE verifications (
    id            BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id       BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    identifier_id BLOB NOT NULL REFERENCES identifiers (id) ON DELETE CASCADE,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX verifications_identifier ON verifications (identifier_id);
CREATE INDEX verifications_user ON verifications (user_id);
CREATE INDEX verifications_created ON verifications (created_at);

-- What SSO owes another service about a user. `due_at` is schedule, lease and parking mark (NULL) at once; `token` fences a
-- worker that was too slow. A row that is done is deleted.
CREATE TABLE provisioning (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    target     INTEGER NOT NULL CHECK (target IN (1, 2)),
    due_at     INTEGER,
    token      BLOB NOT NULL CHECK (length(token) = 16),
    attempts   INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX provisioning_user_id_target_key ON provisioning (user_id, target);
CREATE INDEX provisioning_due ON provisioning (target, due_at);

-- The outcome of each request id, kept 24 hours. `digest` is keyed, for the request may hold a password.
CREATE TABLE requests (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    digest          BLOB NOT NULL CHECK (length(digest) = 32),
    user_id         BLOB NOT NULL,
    verification_id BLOB,
    session_id      BLOB,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_created ON requests (created_at);

-- The keys that sign access tokens; the secret is sealed under the master key.
CREATE TABLE signing_keys (
    id            TEXT NOT NULL PRIMARY KEY,
    sealed_secret TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

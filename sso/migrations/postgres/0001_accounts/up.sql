CREATE TABLE users (
    id              uuid NOT NULL PRIMARY KEY,
    username        text NOT NULL,
    username_folded text NOT NULL,
    account_type    smallint NOT NULL CHECK (account_type IN (1, 2)),
    official_tier   smallint NOT NULL CHECK (official_tier BETWEEN 0 AND 3),
    password_hash   text,
    is_verified     boolean NOT NULL,
    version         bigint NOT NULL CHECK (version > 0),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX users_username_folded_key ON users (username_folded);

-- An e-mail address or a phone number somebody claims. Any number of users may claim one; one may have it verified.
CREATE TABLE identifiers (
    id          uuid NOT NULL PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind        smallint NOT NULL CHECK (kind IN (1, 2)),
    value       text NOT NULL,
    is_verified boolean NOT NULL,
    created_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX identifiers_user_id_kind_key ON identifiers (user_id, kind);
CREATE UNIQUE INDEX identifiers_value_key ON identifiers (value) WHERE is_verified;
CREATE INDEX identifiers_value ON identifiers (value);

CREATE TABLE verifications (
    id            uuid NOT NULL PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    identifier_id uuid NOT NULL REFERENCES identifiers (id) ON DELETE CASCADE,
    created_at    timestamptz NOT NULL
);
CREATE INDEX verifications_identifier ON verifications (identifier_id);
CREATE INDEX verifications_user ON verifications (user_id);
CREATE INDEX verifications_created ON verifications (created_at);

-- What SSO owes another service about a user. `due_at` is schedule, lease and parking mark (NULL) at once; `token` fences a
-- worker that was too slow. A row that is done is deleted.
CREATE TABLE provisioning (
    id         uuid NOT NULL PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    target     smallint NOT NULL CHECK (target IN (1, 2)),
    due_at     timestamptz,
    token      uuid NOT NULL,
    attempts   integer NOT NULL CHECK (attempts >= 0),
    last_error text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX provisioning_user_id_target_key ON provisioning (user_id, target);
CREATE INDEX provisioning_due ON provisioning (target, due_at);

-- The outcome of each request id, kept 24 hours. `digest` is keyed, for the request may hold a password.
CREATE TABLE requests (
    id              uuid NOT NULL PRIMARY KEY,
    digest          bytea NOT NULL CHECK (length(digest) = 32),
    user_id         uuid NOT NULL,
    verification_id uuid,
    session_id      uuid,
    created_at      timestamptz NOT NULL
);
CREATE INDEX requests_created ON requests (created_at);

-- The keys that sign access tokens; the secret is sealed under the master key.
CREATE TABLE signing_keys (
    id            text NOT NULL PRIMARY KEY,
    sealed_secret text NOT NULL,
    created_at    timestamptz NOT NULL
);

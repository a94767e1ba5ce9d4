-- A sign-in that lasts. `generation` is that of the newest refresh token; the token itself is derived from it and never stored.
CREATE TABLE sessions (
    id           uuid NOT NULL PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation   bigint NOT NULL CHECK (generation > 0),
    device_label text NOT NULL,
    network      text NOT NULL,
    created_at   timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, refreshed_at);
CREATE INDEX sessions_refreshed ON sessions (refreshed_at);
CREATE INDEX sessions_created ON sessions (created_at);

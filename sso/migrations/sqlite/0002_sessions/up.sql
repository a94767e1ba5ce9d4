-- A sign-in that lasts. `generation` is that of the newest refresh token; the token itself is derived from it and never stored.
CREATE TABLE sessions (
    id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation   INTEGER NOT NULL CHECK (generation > 0),
    device_label TEXT NOT NULL,
    network      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, refreshed_at);
CREATE INDEX sessions_refreshed ON sessions (refreshed_at);
CREATE INDEX sessions_created ON sessions (created_at);

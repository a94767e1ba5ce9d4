-- Since when an operator keeps the user out.
ALTER TABLE users ADD COLUMN locked_at INTEGER;
-- From when on a key signs: it is published before. Keys end with their successors.
ALTER TABLE signing_keys ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;

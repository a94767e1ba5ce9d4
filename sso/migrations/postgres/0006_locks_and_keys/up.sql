-- Since when an operator keeps the user out.
ALTER TABLE users ADD COLUMN locked_at timestamptz;
-- From when on a key signs: it is published before. Keys end with their successors.
ALTER TABLE signing_keys ADD COLUMN active_at timestamptz NOT NULL DEFAULT 'epoch';

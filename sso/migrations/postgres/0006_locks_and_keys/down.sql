ALTER TABLE signing_keys DROP COLUMN active_at;
ALTER TABLE users DROP COLUMN locked_at;

ALTER TABLE resets DROP COLUMN former_user_id;

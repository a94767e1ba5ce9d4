-- Whose a code was asked for before that ended, by a new password, a lock or a deletion. The row stays, so that whoever asked does not learn of it.
ALTER TABLE resets ADD COLUMN former_user_id BLOB;

-- Users of one kind by the page, however rare it is.
CREATE INDEX users_listed ON users (account_type, (CASE WHEN locked_at IS NULL THEN 0 ELSE 1 END), is_verified, id);

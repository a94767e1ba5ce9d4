-- Who is not deleted, by id: tombstones are kept for ever, and whoever pages through the users must not walk all of them.
CREATE INDEX users_live ON users (id) WHERE deleted_at IS NULL;

-- A debt outlives its user: what is owed may be the deletion.
ALTER TABLE provisioning DROP CONSTRAINT provisioning_user_id_fkey;

-- A user that is deleted here and not yet everywhere: all that is kept is what the targets have to be told. It goes with the last debt.
CREATE TABLE tombstones (
    user_id    uuid NOT NULL PRIMARY KEY,
    version    bigint NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL
);

-- Sign-ups that were never verified, oldest first.
CREATE INDEX users_unverified ON users (is_verified, created_at);

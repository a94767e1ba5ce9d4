-- What else is asked for by a code alone stands beside the resets, the first of its kind: 2 a reset, 3 a sign-in.
ALTER TABLE resets ADD COLUMN purpose smallint NOT NULL DEFAULT 2 CHECK (purpose > 0);

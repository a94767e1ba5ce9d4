-- What a job has counted since it counts, and what the last time, in a unit of its own.
ALTER TABLE jobs ADD COLUMN total bigint NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN latest bigint NOT NULL DEFAULT 0;

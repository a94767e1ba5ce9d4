-- What a job has counted since it counts, and what the last time, in a unit of its own.
ALTER TABLE jobs ADD COLUMN total INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;

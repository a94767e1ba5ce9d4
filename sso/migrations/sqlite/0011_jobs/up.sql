-- What the jobs that nobody waits for did last: since when they count, when they ran, and how far they came.
CREATE TABLE jobs (
    name   TEXT NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL,
    ran_at INTEGER NOT NULL,
    place  BLOB NOT NULL CHECK (length(place) = 16)
) STRICT, WITHOUT ROWID;

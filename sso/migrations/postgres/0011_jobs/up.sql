-- What the jobs that nobody waits for did last: since when they count, when they ran, and how far they came.
CREATE TABLE jobs (
    name   text NOT NULL PRIMARY KEY,
    since  timestamptz NOT NULL,
    ran_at timestamptz NOT NULL,
    place  uuid NOT NULL
);

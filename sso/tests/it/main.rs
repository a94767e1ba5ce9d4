//! SSO as one of several replicas on one database, on real time and threads. `PLAZA_TEST_POSTGRES` names the server; without one, nothing is shown.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod revocations;
mod waits;
mod world;

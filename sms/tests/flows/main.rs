//! The flows of SMS through its contract: the generated client, the whole stack, a real database: SQLite and, where
//! `PLAZA_TEST_POSTGRES` names a server, PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod carrier;
mod carriers;
mod delivery;
mod engine;
mod inbox;
mod limits;
mod notices;
mod races;
mod send;
mod verify;
mod world;

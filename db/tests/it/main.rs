//! The database handle, over real files and, where `PLAZA_TEST_POSTGRES` names a server, over PostgreSQL.

#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what fails in a test fails the test")]

mod both;
mod checkpoints;
mod deadlines;
mod duty;
mod failing;
mod groups;
mod inline;
mod opening;
mod postgres;
mod proxy;
mod queues;
mod schemas;
mod store;
mod unreachable;
mod work;
mod world;

//! Blog through its generated clients, on a database of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod authors;
mod users;
mod world;

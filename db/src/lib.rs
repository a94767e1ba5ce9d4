//! The one handle on diesel: named reads and writes, on SQLite or PostgreSQL.
//!
//! A store writes each statement once, in a function over [`&mut Conn`](Conn) whose body [`on!`] compiles for both
//! engines. A flow calls [`Db::read`] or [`Db::write`] with a closure over such functions: the closure is one
//! transaction, runs on a thread that owns a connection, and is answered when its outcome is durable.
//!
//! What a closure must keep to:
//! * nothing but SQL: no call to another service, no waiting, no clock;
//! * it may be run again (a lost connection, a deadlock), so it moves nothing out of what it captured;
//! * a statement that failed leaves PostgreSQL's transaction unusable: return the error;
//! * bounded work: on SQLite there is one writer.

mod conn;
mod db;
mod error;
mod faults;
mod figures;
mod job;
mod migrate;
mod names;
mod old;
mod opening;
mod options;
mod postgres;
mod queue;
pub mod sql;
mod sqlite;
mod statement;
mod transaction;
mod value;
pub mod work;
mod worker;

pub use conn::Conn;
pub use db::Db;
pub use diesel_migrations::EmbeddedMigrations;
pub use error::{Error, OpenError};
pub use faults::{Fate, Faults};
pub use old::Old;
pub use options::{Migrations, Options};
pub use postgres::{PgConn, script};
pub use value::{At, Id};
pub use work::{Lease, Work};

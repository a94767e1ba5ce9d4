//! The connection a store sees, and the macro that compiles a statement once for each engine.

use crate::postgres::PgConn;
use diesel::sqlite::SqliteConnection;

/// A connection inside a transaction: of SQLite or of PostgreSQL. Use it with [`on!`](crate::on).
#[expect(clippy::large_enum_variant, reason = "a connection lives in one place for its whole life")]
pub enum Conn {
    /// The bundled SQLite.
    Sqlite(SqliteConnection),
    /// PostgreSQL, spoken in Rust alone.
    Postgres(PgConn),
}

/// Compiles an expression over a connection once for each engine: `on!(c => users::table.find(id).first(c))`, where
/// `c` is a `&mut Conn` (or a `Conn`) and, inside, the connection of the engine.
///
/// `self` cannot be named: bind it to another name first. A statement that only one engine has (a locking clause, full
/// text search) is a `match` on [`Conn`].
#[macro_export]
macro_rules! on {
    ($c:ident => $body:expr) => {
        match $c {
            $crate::Conn::Sqlite($c) => $body,
            $crate::Conn::Postgres($c) => $body,
        }
    };
}

//! Taking away what is over, a little at a time.

use crate::{
    At, Conn, Db, Error, on,
    statement::{Statement, Value},
};
use diesel::{QueryResult, RunQueryDsl as _};

/// How many rows one job deletes: what waits behind it must not notice, and a backlog must not be too much for one.
const PAGE: i64 = 500;

/// A table whose rows are over once one of their times has passed. It has an index on that time.
#[derive(Debug, Clone, Copy)]
pub struct Old {
    table: &'static str,
    key: &'static str,
    time: &'static str,
}

impl Old {
    /// The rows of `table`, whose primary key is `key` (a column, or some with commas), by the column `time`. All three stand in SQL as they are: constants, never input.
    pub const fn new(table: &'static str, key: &'static str, time: &'static str) -> Self {
        Self { table, key, time }
    }

    /// Deletes up to `limit` rows whose time is `until` or earlier, the oldest first, and says how many: fewer than `limit` are the last. On PostgreSQL rows
    /// that somebody else holds are passed over, and nobody is waited for.
    ///
    /// # Errors
    /// Of the engine.
    pub fn forget(self, c: &mut Conn, until: At, limit: i64) -> QueryResult<usize> {
        let lock = match c {
            Conn::Sqlite(_) => "",
            Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        };
        let Self { table, key, time } = self;
        // Materialized, so that no plan takes more than `limit`.
        let sql = format!(
            "WITH old AS MATERIALIZED (SELECT {key} FROM {table} WHERE {time} <= ? ORDER BY {time} LIMIT ? {lock})
             DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM old)"
        );
        let values: [Value<'_>; 2] = [until.into(), limit.into()];
        let statement = Statement::<()>::new(&sql, &values);
        on!(c => statement.execute(c))
    }

    /// Deletes all rows whose time is `until` or earlier, a page at a time, in jobs of the name `forget`, until `is_over`. Returns how many.
    ///
    /// # Errors
    /// Of the database. What went before stays gone.
    pub async fn forget_all(self, db: &Db, until: At, is_over: impl Fn() -> bool) -> Result<usize, Error> {
        let mut rows = 0;
        while !is_over() {
            let page = db.write("forget", move |c| Ok::<_, Error>(self.forget(c, until, PAGE)?)).await?;
            rows += page;
            if i64::try_from(page) != Ok(PAGE) {
                break;
            }
        }
        Ok(rows)
    }
}

//! Leased work: rows that say what is owed to whom, and go once it is done. Whoever dies, whenever: it is done at least once.
//!
//! | column | means |
//! |---|---|
//! | `id` | the row, made by time |
//! | the subject, under a name of the table's own, and `target` | what is owed, and to whom; unique together |
//! | `due_at` | schedule, lease and parking mark at once: when somebody may take the row; NULL means parked |
//! | `token` | who holds it; nil for nobody |
//! | `attempts`, `last_error` | what came of it so far |
//! | `created_at` | since when it is owed |
//!
//! A row is committed together with what makes it owed, and is best born held: who commits it does the work at once and deletes it. If
//! they die, the lease runs out and a worker claims the row. A claim gives it a fresh token, and whoever lost the token ends or postpones
//! nothing any more: 0 rows. So no state has to be swept, and nobody has to be watched.

mod duty;
mod tally;

use std::{ops::Range, time::Duration};

use diesel::{QueryResult, RunQueryDsl as _, sql_types};
use uuid::Uuid;

use crate::{
    At, Conn, Id, on, sql,
    statement::{Statement, Value},
};

pub use duty::{Duty, attend};
pub use tally::{By, End, Sample, Tally};

/// Rows that a backlog counts of each kind: whoever looks at more wants to know that there are many, and the look is not to cost more the more there are.
pub const COUNTED: i64 = 10_000;

/// A table of leased work. It has the columns above, indexes on (`target`, `due_at`) and (`target`, `created_at`), and nothing else that is NOT NULL. If rows of it
/// are parked, those have an index on (`target`, `id`).
#[derive(Debug, Clone, Copy)]
pub struct Work {
    table: &'static str,
    subject: &'static str,
}

/// Something owed, and the hold on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What the work is about.
    pub subject: Uuid,
    /// To whom it is owed.
    pub target: i16,
    /// Fresh for each hold; nil if nobody holds it.
    pub token: Uuid,
    /// Attempts up to now, the one of this hold included.
    pub attempts: i32,
}

impl Lease {
    /// Work that its owner begins with at once.
    pub fn held(subject: Uuid, target: i16, token: Uuid) -> Self {
        Self { subject, target, token, attempts: 1 }
    }

    /// Work for whoever claims it.
    pub fn free(subject: Uuid, target: i16) -> Self {
        Self { subject, target, token: Uuid::nil(), attempts: 0 }
    }

    /// Whether it was born held.
    pub fn is_held(&self) -> bool {
        !self.token.is_nil()
    }
}

/// What is owed to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// To whom.
    pub target: i16,
    /// Rows that will be tried, as far as they were counted.
    pub pending: i64,
    /// Rows that wait for somebody to look at them, as far as they were counted.
    pub parked: i64,
    /// Since when the oldest row is owed; `None` if nothing is.
    pub oldest: Option<At>,
}

/// The pause after `attempts` in vain: to be drawn evenly from this range, so that what failed together does not come back together (full
/// jitter). Its end doubles from 0.5 s to 30 s.
pub fn pause(attempts: i32) -> Range<Duration> {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    Duration::ZERO..(Duration::from_millis(500) * 2_u32.pow(doublings)).min(Duration::from_secs(30))
}

impl Work {
    /// The work in `table`, whose column `subject` says what it is about. Both stand in SQL as they are: constants, never input.
    pub const fn new(table: &'static str, subject: &'static str) -> Self {
        Self { table, subject }
    }

    /// Owes something, in the transaction that makes it so; until `due_at` nobody else begins with it. What is owed already of the same
    /// subject to the same target is the same work: it begins anew, and whoever held it holds it no more. `id` is for a new row.
    ///
    /// # Errors
    /// Of the engine, as everywhere here.
    pub fn owe(self, c: &mut Conn, id: Uuid, lease: &Lease, due_at: At, now: At) -> QueryResult<usize> {
        let Self { table, subject } = self;
        let sql = format!(
            "INSERT INTO {table} (id, {subject}, target, due_at, token, attempts, last_error, created_at)
             VALUES (?, ?, ?, ?, ?, ?, '', ?)
             ON CONFLICT ({subject}, target) DO UPDATE SET
             due_at = excluded.due_at, token = excluded.token, attempts = excluded.attempts, last_error = ''"
        );
        let Lease { subject, target, token, attempts } = *lease;
        let values =
            [id.into(), subject.into(), target.into(), due_at.into(), token.into(), attempts.into(), now.into()];
        execute(c, &sql, &values)
    }

    /// Takes up to `limit` rows of a target that are due, the longest due first, and holds them with a fresh `token` until `until`.
    pub fn claim(
        self,
        c: &mut Conn,
        target: i16,
        limit: i64,
        token: Uuid,
        until: At,
        now: At,
    ) -> QueryResult<Vec<Lease>> {
        let change = self.change(c, "due_at <= ?", "due_at", "due_at = ?, token = ?, attempts = attempts + 1");
        let sql = format!("{change} RETURNING {}, attempts", self.subject);
        let values = [target.into(), now.into(), limit.into(), until.into(), token.into()];
        let claimed = Statement::<(sql::Id, sql_types::Integer)>::new(&sql, &values);
        let rows: Vec<(Id, i32)> = on!(c => claimed.load(c))?;
        Ok(rows.into_iter().map(|(subject, attempts)| Lease { subject: subject.0, target, token, attempts }).collect())
    }

    /// Holds it on, until `until`. False if somebody else holds it by now, or it is done.
    pub fn hold(self, c: &mut Conn, lease: &Lease, until: At) -> QueryResult<bool> {
        let Self { table, subject } = self;
        let sql = format!("UPDATE {table} SET due_at = ? WHERE {subject} = ? AND target = ? AND token = ?");
        let Lease { subject, target, token, .. } = *lease;
        Ok(execute(c, &sql, &[until.into(), subject.into(), target.into(), token.into()])? > 0)
    }

    /// It is done: the row goes, unless it is [`End::Fenced`].
    pub fn finish(self, c: &mut Conn, lease: &Lease) -> QueryResult<End> {
        let sql = format!("DELETE FROM {} WHERE {} = ? AND target = ? AND token = ?", self.table, self.subject);
        let rows = execute(c, &sql, &[lease.subject.into(), lease.target.into(), lease.token.into()])?;
        Ok(if rows == 0 { End::Fenced } else { End::Done })
    }

    /// It failed: due again at `due_at`, or parked without one; held by nobody, with the attempts that `lease` says, unless it is [`End::Fenced`].
    pub fn postpone(self, c: &mut Conn, lease: &Lease, due_at: Option<At>, error: &str) -> QueryResult<End> {
        let Self { table, subject } = self;
        let sql = format!(
            "UPDATE {table} SET due_at = ?, token = ?, attempts = ?, last_error = ?
             WHERE {subject} = ? AND target = ? AND token = ?"
        );
        let Lease { subject, target, token, attempts } = *lease;
        let nobody = Uuid::nil();
        let values = [
            Value::Time(due_at),
            nobody.into(),
            attempts.into(),
            Value::Text(error),
            subject.into(),
            target.into(),
            token.into(),
        ];
        Ok(match (execute(c, &sql, &values)?, due_at) {
            (0, _) => End::Fenced,
            (_, Some(_)) => End::Postponed,
            (_, None) => End::Parked,
        })
    }

    /// Makes up to `limit` rows of a target due now that wait for a later attempt and are held by nobody.
    pub fn bring_forward(self, c: &mut Conn, target: i16, limit: i64, now: At) -> QueryResult<usize> {
        let sql = self.change(c, "due_at > ? AND token = ?", "due_at", "due_at = ?");
        execute(c, &sql, &[target.into(), now.into(), Uuid::nil().into(), limit.into(), now.into()])
    }

    /// Makes up to `limit` parked rows of a target due now, as if they had never been tried: those whose id comes after `after`, in this order, so that one that is
    /// parked again meanwhile is not met again. Returns their ids.
    pub fn retry_parked(self, c: &mut Conn, target: i16, after: Uuid, limit: i64, now: At) -> QueryResult<Vec<Uuid>> {
        let change = self.change(c, "due_at IS NULL AND id > ?", "id", "due_at = ?, attempts = 0");
        let sql = format!("{change} RETURNING id");
        let values = [target.into(), after.into(), limit.into(), now.into()];
        let retried = Statement::<(sql::Id,)>::new(&sql, &values);
        let ids: Vec<(Id,)> = on!(c => retried.load(c))?;
        Ok(ids.into_iter().map(|(id,)| id.0).collect())
    }

    /// Makes all that is owed of a subject due now, as if it had never been tried. Whoever holds a row holds it no more.
    pub fn retry(self, c: &mut Conn, subject: Uuid, now: At) -> QueryResult<usize> {
        let sql = format!("UPDATE {} SET due_at = ?, token = ?, attempts = 0 WHERE {} = ?", self.table, self.subject);
        execute(c, &sql, &[now.into(), Uuid::nil().into(), subject.into()])
    }

    /// What is owed to each of `targets`. Up to `most` rows of each kind are counted, by indexes alone.
    pub fn backlogs(
        self,
        c: &mut Conn,
        targets: impl IntoIterator<Item = i16>,
        most: i64,
    ) -> QueryResult<Vec<Backlog>> {
        use diesel::sql_types::{BigInt, Nullable};
        let sql = self.owed();
        let backlog = |target: i16| {
            let values = [target.into(), most.into(), target.into(), most.into(), target.into()];
            let owed = Statement::<(BigInt, BigInt, Nullable<sql::At>)>::new(&sql, &values);
            let (pending, parked, oldest) = on!(c => owed.get_result(c))?;
            Ok(Backlog { target, pending, parked, oldest })
        };
        targets.into_iter().map(backlog).collect()
    }

    /// How many rows of a target are pending, how many parked, and since when the oldest is owed; `?` values in this order: the target and how many to count, twice, and
    /// the target.
    fn owed(self) -> String {
        let table = self.table;
        // Sorted, so that PostgreSQL takes the index though it does not know the target when it plans.
        let count = |which| {
            let some = format!("SELECT 1 FROM {table} WHERE target = ? AND due_at {which} ORDER BY due_at LIMIT ?");
            format!("SELECT COUNT(*) FROM ({some}) AS counted")
        };
        let (pending, parked) = (count("IS NOT NULL"), count("IS NULL"));
        format!("SELECT ({pending}), ({parked}), (SELECT MIN(created_at) FROM {table} WHERE target = ?)")
    }

    /// One statement that changes some rows of a target, the first by `order`, `?` values in this order: the target, those of `which`, how many, those of `set`. On
    /// PostgreSQL rows that somebody else is changing are passed over; on SQLite the one writer is the lock.
    fn change(self, c: &Conn, which: &str, order: &str, set: &str) -> String {
        let lock = match c {
            Conn::Sqlite(_) => "",
            Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        };
        let table = self.table;
        // Materialized: a plan that ran the inner query again would pass over what it has just locked itself, and take more than `limit`.
        format!(
            "WITH chosen AS MATERIALIZED
             (SELECT id FROM {table} WHERE target = ? AND {which} ORDER BY {order} LIMIT ? {lock})
             UPDATE {table} SET {set} WHERE id IN (SELECT id FROM chosen)"
        )
    }
}

fn execute(c: &mut Conn, sql: &str, values: &[Value<'_>]) -> QueryResult<usize> {
    let statement = Statement::<()>::new(sql, values);
    on!(c => statement.execute(c))
}

#[cfg(test)]
mod tests {
    use diesel::{SqliteConnection, connection::SimpleConnection as _, prelude::*};

    use super::*;

    /// A step of a plan of SQLite.
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    #[test]
    fn a_backlog_is_told_by_indexes_alone() {
        let mut c = SqliteConnection::establish(":memory:").expect("a database");
        let errands = include_str!("../../tests/migrations/sqlite/2026-01-03-000000_errands/up.sql");
        c.batch_execute(errands).expect("a table");
        let sql = Work::new("errands", "whose").owed().replace('?', "1");
        let plan: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(&mut c).expect("a plan");
        let looks: Vec<_> = plan.into_iter().map(|step| step.detail).filter(|step| step.contains("errands")).collect();
        assert_eq!(looks.len(), 3, "{looks:?}");
        let searches = |look: &String| look.starts_with("SEARCH errands USING COVERING INDEX");
        assert!(looks.iter().all(searches), "{looks:?}");
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let ends: Vec<_> = (0..10).map(|attempts| pause(attempts).end.as_millis()).collect();
        assert_eq!(ends, [500, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(pause(i32::MAX), Duration::ZERO..Duration::from_secs(30));
    }
}

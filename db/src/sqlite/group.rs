//! Many jobs, one commit.
//!
//! Each job has a savepoint of its own, so a refusal undoes that job alone; a job without company is undone with its transaction, and
//! SQLite need not keep what each page was before. A job sees what earlier ones of its group wrote before it is durable; that is sound
//! because nobody is answered before the commit, and all commit or none.

use super::connect::execute;
use super::limit;
use crate::job::{Access, Job, Ran};
use crate::{Conn, transaction};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use std::time::Instant;

/// A job of a group.
pub(crate) struct Member {
    pub(crate) job: Box<dyn Job>,
    /// When it is too late for it; `None` where time may stand still.
    until: Option<Instant>,
    /// How it ended; `None` before its turn.
    pub(crate) ran: Option<Ran>,
    /// Its savepoint could not be ended: SQLite had ended the whole transaction under it.
    pub(crate) torn: bool,
}

impl Member {
    pub(crate) fn new(job: Box<dyn Job>, until: Option<Instant>) -> Self {
        Self { job, until, ran: None, torn: false }
    }
}

/// How a group ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All that returned `Ok` is durable.
    Committed,
    /// Nothing was kept, for this reason.
    Undone(DieselError),
    /// The commit itself failed, so that it may have reached the disk.
    Unknown,
}

/// Runs every member and commits.
pub(crate) fn run(conn: &mut Conn, members: &mut [Member]) -> End {
    // Immediate: a transaction that turns from reading to writing may be refused without waiting.
    if let Err(error) = transaction::begin(conn, "BEGIN IMMEDIATE") {
        tracing::error!(%error, "cannot begin a transaction");
        return End::Undone(error);
    }
    let alone = members.len() == 1;
    for member in members.iter_mut() {
        if let Err(error) = step(conn, member, alone) {
            if member.ran != Some(Ran::Late) {
                tracing::error!(%error, operation = member.job.name(), "a transaction was ended by SQLite");
            }
            member.torn = true;
            return undone(conn, error);
        }
    }
    if alone && members.iter().all(|member| member.ran != Some(Ran::Done)) {
        return End::Committed;
    }
    match transaction::commit(conn) {
        Ok(()) => End::Committed,
        // A deferred constraint: decided before anything is written.
        Err(error @ DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => undone(conn, error),
        Err(error) => {
            tracing::error!(%error, "a commit failed");
            let _ = transaction::rollback_to(conn, 0);
            End::Unknown
        }
    }
}

fn undone(conn: &mut Conn, error: DieselError) -> End {
    // Most often there is nothing left to undo, and saying so is the only failure.
    let _ = transaction::rollback_to(conn, 0);
    End::Undone(error)
}

/// Runs one member in its savepoint, or `alone` in the transaction itself. An error means that the whole transaction is gone.
fn step(conn: &mut Conn, member: &mut Member, alone: bool) -> Result<(), DieselError> {
    if !alone {
        transaction::savepoint(conn)?;
    }
    let ran = match member.job.access() {
        Access::Write => limit::run(member.job.as_mut(), conn, member.until),
        Access::Read => reading(conn, member)?,
    };
    member.ran = Some(ran);
    // What the closure left open, by a panic or by hand.
    transaction::rollback_to(conn, if alone { 1 } else { 2 })?;
    match ran {
        Ran::Done if alone => Ok(()),
        Ran::Done => transaction::commit(conn),
        Ran::Refused | Ran::Late | Ran::Panicked => transaction::rollback(conn),
    }
}

/// A read that shares the writing connection is held to reading, as it is anywhere else.
fn reading(conn: &mut Conn, member: &mut Member) -> Result<Ran, DieselError> {
    execute(conn, "PRAGMA query_only = ON")?;
    let ran = limit::run(member.job.as_mut(), conn, member.until);
    execute(conn, "PRAGMA query_only = OFF")?;
    Ok(ran)
}

//! What the jobs that nobody waits for did last, so that neither a restart nor another replica begins anew.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::schema::jobs;

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = jobs, treat_none_as_default_value = false)]
struct Row {
    name: String,
    since: At,
    ran_at: At,
    place: Id,
}

/// What a job did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    /// What it counts from: each job says what that is.
    pub(crate) since: SystemTime,
    /// When it ran last, on whichever replica.
    pub(crate) ran_at: SystemTime,
    /// How far it came; nil at the beginning.
    pub(crate) place: Uuid,
}

/// What a job did last, which no other replica changes before this transaction is over. One that never ran begins `now`.
pub(crate) fn lock(c: &mut Conn, name: &str, now: SystemTime) -> QueryResult<Job> {
    let first = Row { name: name.to_owned(), since: at(now), ran_at: at(now), place: Id(Uuid::nil()) };
    // Nobody deletes a row, so that there is one from here on.
    on!(c => diesel::insert_into(jobs::table).values(&first).on_conflict_do_nothing().execute(c))?;
    let row: Row = match c {
        Conn::Sqlite(c) => jobs::table.find(name).select(Row::as_select()).first(c),
        Conn::Postgres(c) => jobs::table.find(name).select(Row::as_select()).for_update().first(c),
    }?;
    Ok(Job { since: time(row.since), ran_at: time(row.ran_at), place: row.place.0 })
}

/// Keeps what a job that was locked has done.
pub(crate) fn keep(c: &mut Conn, name: &str, job: &Job) -> QueryResult<usize> {
    on!(c => diesel::update(jobs::table.find(name))
        .set((jobs::since.eq(at(job.since)), jobs::ran_at.eq(at(job.ran_at)), jobs::place.eq(Id(job.place))))
        .execute(c))
}

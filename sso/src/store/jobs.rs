//! What the jobs that nobody waits for did last, so that neither a restart nor another replica begins anew.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::schema::jobs;

#[derive(Insertable, AsChangeset, Queryable, Selectable)]
#[diesel(table_name = jobs, primary_key(name), treat_none_as_default_value = false)]
struct Row {
    name: String,
    since: At,
    ran_at: At,
    place: Id,
    total: i64,
    latest: i64,
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
    /// What it has counted since `since`; each job says what.
    pub(crate) total: i64,
    /// The same of the last time.
    pub(crate) latest: i64,
}

impl Job {
    /// One that has done nothing yet.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { since: now, ran_at: now, place: Uuid::nil(), total: 0, latest: 0 }
    }
}

/// What a job did last, which no other replica changes before this transaction is over. One that never ran begins `now`.
pub(crate) fn lock(c: &mut Conn, name: &str, now: SystemTime) -> QueryResult<Job> {
    // Nobody deletes a row, so that there is one from here on.
    on!(c => diesel::insert_into(jobs::table).values(&row(name, &Job::new(now))).on_conflict_do_nothing().execute(c))?;
    let row: Row = match c {
        Conn::Sqlite(c) => jobs::table.find(name).select(Row::as_select()).first(c),
        Conn::Postgres(c) => jobs::table.find(name).select(Row::as_select()).for_update().first(c),
    }?;
    Ok(job(row))
}

/// Keeps what a job that was locked has done.
pub(crate) fn keep(c: &mut Conn, name: &str, job: &Job) -> QueryResult<usize> {
    on!(c => diesel::update(jobs::table.find(name)).set(&row(name, job)).execute(c))
}

/// What a job did last, if it ever ran.
pub(crate) fn find(c: &mut Conn, name: &str) -> QueryResult<Option<Job>> {
    let row: Option<Row> = on!(c => jobs::table.find(name).select(Row::as_select()).first(c).optional())?;
    Ok(row.map(job))
}

fn row(name: &str, job: &Job) -> Row {
    let Job { since, ran_at, place, total, latest } = *job;
    Row { name: name.to_owned(), since: at(since), ran_at: at(ran_at), place: Id(place), total, latest }
}

fn job(row: Row) -> Job {
    let Row { since, ran_at, place, total, latest, .. } = row;
    Job { since: time(since), ran_at: time(ran_at), place: place.0, total, latest }
}

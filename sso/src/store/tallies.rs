//! How often something was tried.

use std::time::{SystemTime, UNIX_EPOCH};

use db::{At, Conn, Old, on};
use diesel::{QueryResult, prelude::*};

use super::{at, time};
use crate::{
    schema::tallies,
    tally::{Subject, Tally},
};

/// Tallies, by until when they are kept.
pub(crate) const OLD: Old = Old::new("tallies", "subject", "kept_until");

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = tallies, treat_none_as_default_value = false)]
struct Row {
    subject: Vec<u8>,
    tries: i32,
    since: At,
    free_at: At,
    kept_until: At,
}

impl From<Row> for Tally {
    fn from(row: Row) -> Self {
        Self { tries: row.tries, since: time(row.since), free_at: time(row.free_at) }
    }
}

/// The tally of a subject, which nobody else changes before this transaction is over. Lock several in the order of their bytes, and after all else: a
/// network's is everybody's behind it, and whoever holds it is to wait for nobody.
pub(crate) fn lock(c: &mut Conn, subject: &Subject) -> QueryResult<Tally> {
    let none = Row { subject: subject.to_vec(), tries: 0, since: At(0), free_at: At(0), kept_until: At(0) };
    // One statement: between two, whoever held the row before may take it away.
    let row: Row = on!(c => diesel::insert_into(tallies::table)
        .values(&none)
        .on_conflict(tallies::subject)
        .do_update()
        .set(tallies::tries.eq(tallies::tries))
        .returning(Row::as_select())
        .get_result(c))?;
    Ok(row.into())
}

/// The tally of a subject as it is now, if there is one.
pub(crate) fn find(c: &mut Conn, subject: &Subject) -> QueryResult<Option<Tally>> {
    let row: Option<Row> =
        on!(c => tallies::table.find(subject.as_slice()).select(Row::as_select()).first(c).optional())?;
    Ok(row.map(Tally::from))
}

/// Keeps a tally that was locked.
pub(crate) fn keep(c: &mut Conn, subject: &Subject, tally: &Tally, until: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::update(tallies::table.find(subject.as_slice()))
        .set((
            tallies::tries.eq(tally.tries),
            tallies::since.eq(at(tally.since)),
            tallies::free_at.eq(at(tally.free_at)),
            tallies::kept_until.eq(at(until)),
        ))
        .execute(c))
}

/// Whether there is a tally of a subject that is still kept.
pub(crate) fn is_kept(c: &mut Conn, subject: &Subject, now: SystemTime) -> QueryResult<bool> {
    let kept = tallies::table.find(subject.as_slice()).filter(tallies::kept_until.gt(at(now)));
    on!(c => diesel::select(diesel::dsl::exists(kept)).get_result(c))
}

/// Notes a subject without tries.
pub(crate) fn note(c: &mut Conn, subject: &Subject, until: SystemTime) -> QueryResult<()> {
    lock(c, subject)?;
    keep(c, subject, &Tally { tries: 0, since: UNIX_EPOCH, free_at: UNIX_EPOCH }, until)?;
    Ok(())
}

/// Forgets a subject.
pub(crate) fn remove(c: &mut Conn, subject: &Subject) -> QueryResult<usize> {
    on!(c => diesel::delete(tallies::table.find(subject.as_slice())).execute(c))
}

#[cfg(test)]
mod tests;

//! Sessions that ended before their access tokens do.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{QueryResult, prelude::*};

use super::{at, time};
use crate::{
    revocations::{Place, Revocation},
    schema::revocations,
    session::Ending,
};

/// Revocations, by when the last token is dead.
pub(crate) const OLD: Old = Old::new("revocations", "session_id", "kept_until");

#[derive(Insertable)]
#[diesel(table_name = revocations, treat_none_as_default_value = false)]
struct Row {
    session_id: Id,
    revoked_at: At,
    kept_until: At,
}

/// Keeps that these sessions have ended, which this transaction has deleted. Returns how many.
pub(crate) fn insert(c: &mut Conn, ended: &[Id], ending: Ending) -> QueryResult<usize> {
    let row = |id: &Id| Row { session_id: Id(id.0), revoked_at: at(ending.at), kept_until: at(ending.until) };
    let rows: Vec<Row> = ended.iter().map(row).collect();
    on!(c => diesel::insert_into(revocations::table).values(&rows).execute(c))
}

/// Up to `limit` that come after `place` and still hold, in order.
pub(crate) fn page(c: &mut Conn, place: Place, now: SystemTime, limit: i64) -> QueryResult<Vec<Revocation>> {
    let (since, id) = (at(place.revoked_at), Id(place.session_id));
    let rows: Vec<(Id, At, At)> = on!(c => revocations::table
        .filter(revocations::revoked_at.ge(since))
        .filter(revocations::revoked_at.gt(since).or(revocations::session_id.gt(id)))
        .filter(revocations::kept_until.gt(at(now)))
        .order((revocations::revoked_at, revocations::session_id))
        .limit(limit)
        .select((revocations::session_id, revocations::revoked_at, revocations::kept_until))
        .load(c))?;
    let revocation = |(session_id, revoked_at, until): (Id, At, At)| Revocation {
        place: Place { revoked_at: time(revoked_at), session_id: session_id.0 },
        until: time(until),
    };
    Ok(rows.into_iter().map(revocation).collect())
}

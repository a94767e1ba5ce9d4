//! Forgotten passwords that are to be replaced.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{identifier::Identifier, recovery::Reset, schema::resets};

#[derive(Insertable)]
#[diesel(table_name = resets)]
struct Row {
    id: Id,
    user_id: Option<Id>,
    kind: i16,
    value: String,
    created_at: At,
}

/// Opens a reset.
pub(crate) fn insert(c: &mut Conn, reset: &Reset, now: SystemTime) -> QueryResult<usize> {
    let row = Row {
        id: Id(reset.id),
        user_id: reset.user_id.map(Id),
        kind: reset.identifier.kind(),
        value: reset.identifier.value().to_owned(),
        created_at: at(now),
    };
    on!(c => diesel::insert_into(resets::table).values(&row).execute(c))
}

/// One reset that was opened after `since`.
pub(crate) fn find(c: &mut Conn, id: Uuid, since: SystemTime) -> QueryResult<Option<Reset>> {
    let found: Option<(Option<Id>, i16, String)> = on!(c => resets::table
        .find(Id(id))
        .filter(resets::created_at.gt(at(since)))
        .select((resets::user_id, resets::kind, resets::value))
        .first(c)
        .optional())?;
    Ok(found.map(|(user_id, kind, value)| Reset {
        id,
        user_id: user_id.map(|id| id.0),
        identifier: Identifier::stored(kind, value),
    }))
}

/// Ends a reset. 0 if it has ended before: it is done once.
pub(crate) fn end(c: &mut Conn, id: Uuid) -> QueryResult<usize> {
    on!(c => diesel::delete(resets::table.find(Id(id))).execute(c))
}

/// Ends all resets of a user.
pub(crate) fn end_all(c: &mut Conn, user_id: Uuid) -> QueryResult<usize> {
    on!(c => diesel::delete(resets::table).filter(resets::user_id.eq(Some(Id(user_id)))).execute(c))
}

/// Forgets those opened before `until`.
pub(crate) fn forget(c: &mut Conn, until: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::delete(resets::table).filter(resets::created_at.le(at(until))).execute(c))
}

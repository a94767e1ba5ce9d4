//! Requests to prove an identifier.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{
    identifier::Identifier,
    model::{Purpose, Verification},
    schema::{identifiers, verifications},
};

/// Verifications, by when they were opened.
pub(crate) const OLD: Old = Old::new("verifications", "id", "created_at");

#[derive(Insertable)]
#[diesel(table_name = verifications, treat_none_as_default_value = false)]
struct Row {
    id: Id,
    user_id: Id,
    identifier_id: Id,
    created_at: At,
}

/// Opens a verification.
pub(crate) fn insert(
    c: &mut Conn,
    id: Uuid,
    user_id: Uuid,
    identifier_id: Uuid,
    now: SystemTime,
) -> QueryResult<usize> {
    let row = Row { id: Id(id), user_id: Id(user_id), identifier_id: Id(identifier_id), created_at: at(now) };
    on!(c => diesel::insert_into(verifications::table).values(&row).execute(c))
}

/// One verification that was opened after `since`.
pub(crate) fn find(c: &mut Conn, id: Uuid, since: SystemTime) -> QueryResult<Option<Verification>> {
    let found: Option<(Id, i16, String)> = on!(c => verifications::table
        .inner_join(identifiers::table.on(identifiers::id.eq(verifications::identifier_id)))
        .filter(verifications::id.eq(Id(id)))
        .filter(verifications::created_at.gt(at(since)))
        .select((verifications::user_id, identifiers::kind, identifiers::value))
        .first(c)
        .optional())?;
    Ok(found.map(|(user_id, kind, value)| Verification {
        id,
        user_id: user_id.0,
        identifier: Identifier::stored(kind, value),
        purpose: Purpose::VerifyIdentifier,
    }))
}

/// Ends all verifications of a user.
pub(crate) fn end_all(c: &mut Conn, user_id: Uuid) -> QueryResult<usize> {
    on!(c => diesel::delete(verifications::table).filter(verifications::user_id.eq(Id(user_id))).execute(c))
}

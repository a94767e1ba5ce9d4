//! What users sign in with: that they have it verified, and that they change it.

use std::time::SystemTime;

use db::{Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{
    at,
    users::{IdentifierRow, refused},
};
use crate::{
    error::Error,
    identifier::Identifier,
    schema::{identifiers, users},
};

/// The identifiers that a user has verified.
pub(crate) fn verified(c: &mut Conn, user_id: Uuid) -> QueryResult<Vec<Identifier>> {
    let rows: Vec<(i16, String)> = on!(c => identifiers::table
        .filter(identifiers::user_id.eq(Id(user_id)))
        .filter(identifiers::is_verified.eq(true))
        .order(identifiers::kind)
        .select((identifiers::kind, identifiers::value))
        .load(c))?;
    Ok(rows.into_iter().map(|(kind, value)| Identifier::stored(kind, value)).collect())
}

/// Makes the identifier the user's one of its kind, and verified. The unique index refuses a second owner: [`Error::IdentifierTaken`]. `id` is the row's.
pub(crate) fn set(
    c: &mut Conn,
    id: Uuid,
    user_id: Uuid,
    identifier: &Identifier,
    now: SystemTime,
) -> Result<(), Error> {
    let row = IdentifierRow {
        id: Id(id),
        user_id: Id(user_id),
        kind: identifier.kind(),
        value: identifier.value().to_owned(),
        is_verified: true,
        created_at: at(now),
        is_claim: false,
    };
    on!(c => diesel::delete(identifiers::table)
        .filter(identifiers::user_id.eq(Id(user_id)))
        .filter(identifiers::kind.eq(identifier.kind()))
        .execute(c))?;
    on!(c => diesel::insert_into(identifiers::table).values(&row).execute(c))
        .map_err(|error| refused(error, "identifiers_value_key", Error::IdentifierTaken))?;
    touch(c, user_id, now)?;
    Ok(())
}

/// Takes an identifier from its user.
pub(crate) fn remove(c: &mut Conn, user_id: Uuid, identifier: &Identifier, now: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::delete(identifiers::table)
        .filter(identifiers::user_id.eq(Id(user_id)))
        .filter(identifiers::value.eq(identifier.value()))
        .execute(c))?;
    touch(c, user_id, now)
}

/// Notes that a user has changed in what SSO alone holds.
fn touch(c: &mut Conn, user_id: Uuid, now: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::update(users::table.find(Id(user_id))).set(users::updated_at.eq(at(now))).execute(c))
}

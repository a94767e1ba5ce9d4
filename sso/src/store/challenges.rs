//! Codes that are asked for by somebody who is not signed in.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{challenge::Challenge, identifier::Identifier, model::Purpose, schema::challenges};

/// Challenges, by when they were opened.
pub(crate) const OLD: Old = Old::new("resets", "id", "created_at");

#[derive(Insertable)]
#[diesel(table_name = challenges, treat_none_as_default_value = false)]
struct Row {
    id: Id,
    user_id: Option<Id>,
    kind: i16,
    value: String,
    created_at: At,
    purpose: i16,
    former_user_id: Option<Id>,
}

/// Opens a challenge.
pub(crate) fn insert(c: &mut Conn, challenge: &Challenge, now: SystemTime) -> QueryResult<usize> {
    let row = Row {
        id: Id(challenge.id),
        user_id: challenge.user_id.map(Id),
        kind: challenge.identifier.kind(),
        value: challenge.identifier.value().to_owned(),
        created_at: at(now),
        purpose: challenge.purpose as i16,
        former_user_id: challenge.former_user_id.map(Id),
    };
    on!(c => diesel::insert_into(challenges::table).values(&row).execute(c))
}

/// One challenge that was opened after `since`.
pub(crate) fn find(c: &mut Conn, id: Uuid, since: SystemTime) -> QueryResult<Option<Challenge>> {
    type Found = (Option<Id>, Option<Id>, i16, String, i16);
    let found: Option<Found> = on!(c => challenges::table
        .find(Id(id))
        .filter(challenges::created_at.gt(at(since)))
        .select((
            challenges::user_id,
            challenges::former_user_id,
            challenges::kind,
            challenges::value,
            challenges::purpose,
        ))
        .first(c)
        .optional())?;
    Ok(found.map(|(user_id, former_user_id, kind, value, purpose)| Challenge {
        id,
        user_id: user_id.map(|id| id.0),
        former_user_id: former_user_id.map(|id| id.0),
        identifier: Identifier::stored(kind, value),
        purpose: Purpose::stored(purpose),
    }))
}

/// Ends a user's challenge whose code was right. 0 if it has ended before: it is done once.
pub(crate) fn end(c: &mut Conn, id: Uuid, user_id: Uuid) -> QueryResult<usize> {
    on!(c => diesel::delete(challenges::table.find(Id(id)))
        .filter(challenges::user_id.eq(Some(Id(user_id))))
        .execute(c))
}

/// Ends all challenges of a user: they become decoys. Whoever asked for one may be a stranger, and one that went would tell that there was a user.
pub(crate) fn end_all(c: &mut Conn, user_id: Uuid) -> QueryResult<usize> {
    on!(c => diesel::update(challenges::table)
        .filter(challenges::user_id.eq(Some(Id(user_id))))
        .set((challenges::former_user_id.eq(challenges::user_id), challenges::user_id.eq(None::<Id>)))
        .execute(c))
}

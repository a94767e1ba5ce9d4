//! What each request id came to.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{error::Error, model::Outcome, schema::requests};

/// Request ids, by when they were noted.
pub(crate) const OLD: Old = Old::new("requests", "id", "created_at");

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = requests, treat_none_as_default_value = false)]
struct Row {
    id: Id,
    digest: Vec<u8>,
    user_id: Id,
    verification_id: Option<Id>,
    session_id: Option<Id>,
    created_at: At,
}

/// What `id` came to before.
///
/// # Errors
/// [`Error::RequestIdReused`] if that was another request.
pub(crate) fn find(c: &mut Conn, id: Uuid, digest: &[u8; 32]) -> Result<Option<Outcome>, Error> {
    let row: Option<Row> = on!(c => requests::table.find(Id(id)).select(Row::as_select()).first(c).optional())?;
    match row {
        Some(row) if row.digest != digest => Err(Error::RequestIdReused),
        row => Ok(row.map(|row| Outcome {
            user_id: row.user_id.0,
            verification_id: row.verification_id.map(|id| id.0),
            session_id: row.session_id.map(|id| id.0),
        })),
    }
}

/// Notes what `id` comes to, first thing in the transaction that makes it so: whoever comes second waits here for the first to end, and gets
/// what `id` came to there. `None` says that this is the first.
///
/// # Errors
/// [`Error::RequestIdReused`] if the first was another request.
pub(crate) fn claim(
    c: &mut Conn,
    id: Uuid,
    digest: &[u8; 32],
    outcome: &Outcome,
    now: SystemTime,
) -> Result<Option<Outcome>, Error> {
    let row = Row {
        id: Id(id),
        digest: digest.to_vec(),
        user_id: Id(outcome.user_id),
        verification_id: outcome.verification_id.map(Id),
        session_id: outcome.session_id.map(Id),
        created_at: at(now),
    };
    match on!(c => diesel::insert_into(requests::table).values(&row).on_conflict_do_nothing().execute(c))? {
        0 => find(c, id, digest),
        _ => Ok(None),
    }
}

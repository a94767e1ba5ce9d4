//! What each request id came to.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{digest::keyed, error::Error, model::Outcome, schema::requests};

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

/// A request id, and what it is held to. A repeat has both.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    id: Uuid,
    digest: [u8; 32],
}

impl Request {
    /// The request of this id for what `parts` say: the name of the flow, and all that must be the same of a repeat. `key` is that of digests.
    pub(crate) fn new(key: &[u8; 32], id: Uuid, parts: &[&[u8]]) -> Self {
        Self { id, digest: keyed(key, parts) }
    }

    /// What it came to before.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`] if that was another request.
    pub(crate) fn find(&self, c: &mut Conn) -> Result<Option<Outcome>, Error> {
        let row: Option<Row> =
            on!(c => requests::table.find(Id(self.id)).select(Row::as_select()).first(c).optional())?;
        match row {
            Some(row) if row.digest != self.digest => Err(Error::RequestIdReused),
            row => Ok(row.map(|row| Outcome {
                user_id: row.user_id.0,
                verification_id: row.verification_id.map(|id| id.0),
                session_id: row.session_id.map(|id| id.0),
            })),
        }
    }

    /// Notes what it comes to, first thing in the transaction that makes it so: whoever comes second waits here for the first to end, and gets
    /// what the id came to there. `None` says that this is the first.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`] if the first was another request.
    pub(crate) fn claim(&self, c: &mut Conn, outcome: &Outcome, now: SystemTime) -> Result<Option<Outcome>, Error> {
        let row = Row {
            id: Id(self.id),
            digest: self.digest.to_vec(),
            user_id: Id(outcome.user_id),
            verification_id: outcome.verification_id.map(Id),
            session_id: outcome.session_id.map(Id),
            created_at: at(now),
        };
        match on!(c => diesel::insert_into(requests::table).values(&row).on_conflict_do_nothing().execute(c))? {
            0 => self.find(c),
            _ => Ok(None),
        }
    }
}

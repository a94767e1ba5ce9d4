//! What SSO owes the other services: leased work ([`db::work`]), one row a user and target, deleted once it is done. The row carries no payload:
//! the user is read when the target is called.

use std::time::SystemTime;

use db::{At, Conn, Id, Lease, Work, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::{
    model::{Provisioning, ProvisioningState, Target},
    schema::provisioning,
};

/// The debts.
pub(crate) const DEBTS: Work = Work::new("provisioning", "user_id");

/// Debts to be committed: the id of the row, the hold on it, and when it falls due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Debts(Vec<(Uuid, Lease, SystemTime)>);

impl FromIterator<(Uuid, Lease, SystemTime)> for Debts {
    fn from_iter<I: IntoIterator<Item = (Uuid, Lease, SystemTime)>>(debts: I) -> Self {
        Self(debts.into_iter().collect())
    }
}

impl Debts {
    /// Owes them, in the transaction that makes them so.
    pub(crate) fn owe(&self, c: &mut Conn, now: SystemTime) -> QueryResult<()> {
        self.0.iter().try_for_each(|(id, lease, due_at)| DEBTS.owe(c, *id, lease, at(*due_at), at(now)).map(drop))
    }

    /// Those that whoever committed them holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = Lease> {
        self.0.iter().map(|(_, lease, _)| *lease).filter(Lease::is_held)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = provisioning)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) user_id: Id,
    pub(super) target: i16,
    pub(super) due_at: Option<At>,
    pub(super) attempts: i32,
    pub(super) last_error: String,
    pub(super) created_at: At,
}

/// How far each target has been told of a user.
pub(crate) fn of_user(c: &mut Conn, user_id: Uuid) -> QueryResult<Vec<Provisioning>> {
    let rows: Vec<Row> = on!(c => provisioning::table
        .filter(provisioning::user_id.eq(Id(user_id)))
        .select(Row::as_select())
        .load(c))?;
    let state = |target: Target| {
        rows.iter().find(|row| row.target == target as i16).map_or(ProvisioningState::Done, Row::state)
    };
    Ok(Target::ALL.map(|target| Provisioning { target, state: state(target) }).into())
}

impl Row {
    pub(super) fn state(&self) -> ProvisioningState {
        let (attempts, last_error) = (self.attempts, self.last_error.clone());
        match self.due_at {
            Some(due_at) => ProvisioningState::Pending { attempts, due_at: time(due_at), last_error },
            None => ProvisioningState::Parked { attempts, last_error },
        }
    }
}

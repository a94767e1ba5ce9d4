//! What SSO owes the other services: one row a user and target, deleted once it is done.
//!
//! `due_at` is schedule, lease and parking mark at once. A row is born leased by the handler that made it; whoever holds the row's `token`
//! may end or postpone it, and a claim gives it a new one, so that a worker that was too slow changes nothing.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{QueryResult, prelude::*, upsert::excluded};
use uuid::Uuid;

use super::{at, time};
use crate::{
    model::{Provisioning, ProvisioningState, Target},
    schema::provisioning,
};

/// A debt, and the token of whoever is to settle it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) target: Target,
    /// [`FREE`]: nobody holds it, and a worker is to take it when it is due.
    pub(crate) token: Uuid,
    pub(crate) attempts: i32,
}

/// The token of a row that nobody holds.
pub(crate) const FREE: Uuid = Uuid::nil();

/// Debts to be committed, and when they fall due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Debts(Vec<(Lease, SystemTime)>);

impl FromIterator<(Lease, SystemTime)> for Debts {
    fn from_iter<I: IntoIterator<Item = (Lease, SystemTime)>>(debts: I) -> Self {
        Self(debts.into_iter().collect())
    }
}

impl Debts {
    /// Owes them, in the transaction that makes them so.
    pub(crate) fn owe(&self, c: &mut Conn, now: SystemTime) -> QueryResult<()> {
        self.0.iter().try_for_each(|(lease, due_at)| owe(c, lease, *due_at, now).map(drop))
    }

    /// Those that whoever committed them holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = Lease> {
        self.0.iter().map(|(lease, _)| *lease).filter(|lease| lease.token != FREE)
    }
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = provisioning)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) user_id: Id,
    pub(super) target: i16,
    pub(super) due_at: Option<At>,
    pub(super) token: Id,
    pub(super) attempts: i32,
    pub(super) last_error: String,
    pub(super) created_at: At,
}

/// Owes a target a user, due at `due_at`: when the lease of whoever holds it ends. What was owed of the same user to the same target is the same debt:
/// it begins anew, and whoever held it holds it no more.
fn owe(c: &mut Conn, lease: &Lease, due_at: SystemTime, now: SystemTime) -> QueryResult<usize> {
    let row = Row {
        id: Id(lease.id),
        user_id: Id(lease.user_id),
        target: lease.target as i16,
        due_at: Some(at(due_at)),
        token: Id(lease.token),
        attempts: lease.attempts,
        last_error: String::new(),
        created_at: at(now),
    };
    on!(c => diesel::insert_into(provisioning::table)
        .values(&row)
        .on_conflict((provisioning::user_id, provisioning::target))
        .do_update()
        .set((
            provisioning::due_at.eq(excluded(provisioning::due_at)),
            provisioning::token.eq(excluded(provisioning::token)),
            provisioning::attempts.eq(excluded(provisioning::attempts)),
            provisioning::last_error.eq(""),
        ))
        .execute(c))
}

/// Takes up to `limit` rows of a target that are due, and holds them with `token` until `until`.
pub(crate) fn claim(
    c: &mut Conn,
    target: Target,
    limit: i64,
    token: Uuid,
    until: SystemTime,
    now: SystemTime,
) -> QueryResult<Vec<Lease>> {
    let rows = due(c, target, limit, at(now))?;
    let ids: Vec<Id> = rows.iter().map(|row| Id(row.id.0)).collect();
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::id.eq_any(&ids))
        .set((
            provisioning::due_at.eq(Some(at(until))),
            provisioning::token.eq(Id(token)),
            provisioning::attempts.eq(provisioning::attempts + 1),
        ))
        .execute(c))?;
    Ok(rows
        .into_iter()
        .map(|row| Lease {
            id: row.id.0,
            user_id: row.user_id.0,
            target: Target::from_stored(row.target),
            token,
            attempts: row.attempts + 1,
        })
        .collect())
}

/// The rows that are due, longest first. On PostgreSQL rows that another replica is claiming are passed over; on SQLite the one writer is the
/// lock.
fn due(c: &mut Conn, target: Target, limit: i64, now: At) -> QueryResult<Vec<Row>> {
    macro_rules! query {
        () => {
            provisioning::table
                .filter(provisioning::target.eq(target as i16))
                .filter(provisioning::due_at.le(now))
                .order(provisioning::due_at)
                .limit(limit)
                .select(Row::as_select())
        };
    }
    match c {
        Conn::Sqlite(c) => query!().load(c),
        Conn::Postgres(c) => query!().for_update().skip_locked().load(c),
    }
}

/// It is done: the row goes. 0 if somebody else holds it by now.
pub(crate) fn finish(c: &mut Conn, lease: &Lease) -> QueryResult<usize> {
    on!(c => diesel::delete(provisioning::table)
        .filter(provisioning::user_id.eq(Id(lease.user_id)))
        .filter(provisioning::target.eq(lease.target as i16))
        .filter(provisioning::token.eq(Id(lease.token)))
        .execute(c))
}

/// It failed: due again at `due_at`, or parked without one; held by nobody. 0 if somebody else holds it by now.
pub(crate) fn postpone(c: &mut Conn, lease: &Lease, due_at: Option<SystemTime>, error: &str) -> QueryResult<usize> {
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::user_id.eq(Id(lease.user_id)))
        .filter(provisioning::target.eq(lease.target as i16))
        .filter(provisioning::token.eq(Id(lease.token)))
        .set((
            provisioning::due_at.eq(due_at.map(at)),
            provisioning::token.eq(Id(FREE)),
            provisioning::attempts.eq(lease.attempts),
            provisioning::last_error.eq(error),
        ))
        .execute(c))
}

/// Makes up to `limit` rows of a target due now that wait for a later attempt and are held by nobody.
pub(crate) fn bring_forward(c: &mut Conn, target: Target, limit: i64, now: SystemTime) -> QueryResult<usize> {
    let ids: Vec<Id> = on!(c => provisioning::table
        .filter(provisioning::target.eq(target as i16))
        .filter(provisioning::due_at.gt(at(now)))
        .filter(provisioning::token.eq(Id(FREE)))
        .order(provisioning::due_at)
        .limit(limit)
        .select(provisioning::id)
        .load(c))?;
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::id.eq_any(&ids))
        .filter(provisioning::token.eq(Id(FREE)))
        .set(provisioning::due_at.eq(Some(at(now))))
        .execute(c))
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

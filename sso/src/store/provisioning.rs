//! What SSO owes the other services: one row a user and target, deleted once it is done.
//!
//! `due_at` is schedule, lease and parking mark at once. A row is born leased by the handler that made it; whoever holds the row's `token`
//! may end or postpone it, and a claim gives it a new one, so that a worker that was too slow changes nothing.

use std::time::SystemTime;

use db::{At, Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::{
    model::{Provisioning, ProvisioningState, Target},
    schema::provisioning,
};

/// A row that somebody holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) target: Target,
    pub(crate) token: Uuid,
    pub(crate) attempts: i32,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = provisioning)]
struct Row {
    id: Id,
    user_id: Id,
    target: i16,
    due_at: Option<At>,
    token: Id,
    attempts: i32,
    last_error: String,
    created_at: At,
}

/// Owes a target a user, held by `lease` until `until`.
pub(crate) fn insert(c: &mut Conn, lease: &Lease, until: SystemTime, now: SystemTime) -> QueryResult<usize> {
    let row = Row {
        id: Id(lease.id),
        user_id: Id(lease.user_id),
        target: lease.target as i16,
        due_at: Some(at(until)),
        token: Id(lease.token),
        attempts: lease.attempts,
        last_error: String::new(),
        created_at: at(now),
    };
    on!(c => diesel::insert_into(provisioning::table).values(&row).execute(c))
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
        .filter(provisioning::id.eq(Id(lease.id)))
        .filter(provisioning::token.eq(Id(lease.token)))
        .execute(c))
}

/// It failed: due again at `due_at`, or parked without one. 0 if somebody else holds it by now.
pub(crate) fn postpone(c: &mut Conn, lease: &Lease, due_at: Option<SystemTime>, error: &str) -> QueryResult<usize> {
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::id.eq(Id(lease.id)))
        .filter(provisioning::token.eq(Id(lease.token)))
        .set((provisioning::due_at.eq(due_at.map(at)), provisioning::last_error.eq(error)))
        .execute(c))
}

/// How far each target has been told of a user.
pub(crate) fn of_user(c: &mut Conn, user_id: Uuid) -> QueryResult<Vec<Provisioning>> {
    let rows: Vec<Row> = on!(c => provisioning::table
        .filter(provisioning::user_id.eq(Id(user_id)))
        .select(Row::as_select())
        .load(c))?;
    let state = |target: Target| {
        rows.iter().find(|row| row.target == target as i16).map_or(ProvisioningState::Done, |row| match row.due_at {
            Some(due_at) => ProvisioningState::Pending {
                attempts: row.attempts,
                due_at: time(due_at),
                last_error: row.last_error.clone(),
            },
            None => ProvisioningState::Parked { attempts: row.attempts, last_error: row.last_error.clone() },
        })
    };
    Ok(Target::ALL.map(|target| Provisioning { target, state: state(target) }).into())
}

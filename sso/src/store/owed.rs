//! What is owed, as operators see it and stir it.

use std::time::SystemTime;

use db::{Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{
    at,
    provisioning::{FREE, Row},
    time,
};
use crate::{
    model::{Owed, Provisioning, Target},
    schema::provisioning,
};

/// Which debts are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    /// `None`: of every target.
    pub(crate) target: Option<Target>,
    /// `None`: parked or not.
    pub(crate) parked: Option<bool>,
}

/// Up to `limit` debts with an id above `after`: ids are made by time, so the longest owed come first.
pub(crate) fn page(c: &mut Conn, filter: Filter, after: Uuid, limit: i64) -> QueryResult<Vec<Owed>> {
    let rows: Vec<Row> = on!(c => {
        let mut query = provisioning::table.filter(provisioning::id.gt(Id(after))).into_boxed();
        if let Some(target) = filter.target {
            query = query.filter(provisioning::target.eq(target as i16));
        }
        query = match filter.parked {
            Some(true) => query.filter(provisioning::due_at.is_null()),
            Some(false) => query.filter(provisioning::due_at.is_not_null()),
            None => query,
        };
        query.order(provisioning::id).limit(limit).select(Row::as_select()).load(c)
    })?;
    let owed = |row: Row| Owed {
        id: row.id.0,
        user_id: row.user_id.0,
        provisioning: Provisioning { target: Target::from_stored(row.target), state: row.state() },
        since: time(row.created_at),
    };
    Ok(rows.into_iter().map(owed).collect())
}

/// Makes all that is owed of a user due now, as if it had never been tried. Whoever holds a row holds it no more.
pub(crate) fn retry_user(c: &mut Conn, user_id: Uuid, now: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::user_id.eq(Id(user_id)))
        .set((
            provisioning::due_at.eq(Some(at(now))),
            provisioning::token.eq(Id(FREE)),
            provisioning::attempts.eq(0),
        ))
        .execute(c))
}

/// Makes up to `limit` parked rows of a target due now.
pub(crate) fn retry_parked(c: &mut Conn, target: Target, limit: i64, now: SystemTime) -> QueryResult<usize> {
    let ids: Vec<Id> = on!(c => provisioning::table
        .filter(provisioning::target.eq(target as i16))
        .filter(provisioning::due_at.is_null())
        .limit(limit)
        .select(provisioning::id)
        .load(c))?;
    on!(c => diesel::update(provisioning::table)
        .filter(provisioning::id.eq_any(&ids))
        .filter(provisioning::due_at.is_null())
        .set((provisioning::due_at.eq(Some(at(now))), provisioning::attempts.eq(0)))
        .execute(c))
}

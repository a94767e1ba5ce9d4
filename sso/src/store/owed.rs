//! What is owed, as operators see it.

use db::{Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{provisioning::Row, time};
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

//! What was decided, and why. Rows are added and, when they are old, taken away.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, time};
use crate::{
    audit::{Event, Filter, Kind, Reason, Recorded},
    schema::audit_events,
};

/// Events, by when they were decided.
pub(crate) const OLD: Old = Old::new("audit_events", "id", "created_at");

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = audit_events, treat_none_as_default_value = false)]
struct Row {
    id: Id,
    kind: i16,
    reason: i16,
    user_id: Option<Id>,
    session_id: Option<Id>,
    operator: String,
    network: String,
    count: i64,
    created_at: At,
}

/// Adds an event.
pub(crate) fn insert(c: &mut Conn, recorded: &Recorded) -> QueryResult<()> {
    let Recorded { id, event, count, at: decided } = recorded;
    let row = Row {
        id: Id(*id),
        kind: number(event.kind.into()),
        reason: number(event.reason.into()),
        user_id: event.user_id.map(Id),
        session_id: event.session_id.map(Id),
        operator: event.operator.clone(),
        network: event.network.clone(),
        count: *count,
        created_at: at(*decided),
    };
    on!(c => diesel::insert_into(audit_events::table).values(&row).execute(c)).map(drop)
}

/// Up to `limit` events that pass the filter, newest first, of those before the id `before`.
pub(crate) fn page(c: &mut Conn, filter: &Filter, before: Option<Uuid>, limit: i64) -> QueryResult<Vec<Recorded>> {
    let kinds: Vec<i16> = filter.kinds.iter().map(|kind| number((*kind).into())).collect();
    let rows: Vec<Row> = on!(c => {
        let mut some = audit_events::table.into_boxed();
        if let Some(before) = before {
            some = some.filter(audit_events::id.lt(Id(before)));
        }
        if let Some(user_id) = filter.user_id {
            some = some.filter(audit_events::user_id.eq(Id(user_id)));
        }
        if !kinds.is_empty() {
            some = some.filter(audit_events::kind.eq_any(&kinds));
        }
        if let Some(from) = filter.from {
            some = some.filter(audit_events::created_at.ge(at(from)));
        }
        if let Some(until) = filter.until {
            some = some.filter(audit_events::created_at.lt(at(until)));
        }
        some.order(audit_events::id.desc()).limit(limit).select(Row::as_select()).load(c)
    })?;
    Ok(rows.into_iter().map(recorded).collect())
}

/// When a user was deleted last, if that is still known.
pub(crate) fn deleted_at(c: &mut Conn, user_id: Uuid) -> QueryResult<Option<SystemTime>> {
    let events = audit_events::table
        .filter(audit_events::user_id.eq(Id(user_id)))
        .filter(audit_events::kind.eq(number(Kind::UserDeleted.into())))
        .order(audit_events::id.desc())
        .select(audit_events::created_at);
    let found: Option<At> = on!(c => events.first(c).optional())?;
    Ok(found.map(time))
}

/// An enum's number: the contract has no more than fit.
fn number(value: i32) -> i16 {
    i16::try_from(value).unwrap_or_default()
}

fn recorded(row: Row) -> Recorded {
    Recorded {
        id: row.id.0,
        event: Event {
            kind: Kind::try_from(i32::from(row.kind)).unwrap_or_default(),
            reason: Reason::try_from(i32::from(row.reason)).unwrap_or_default(),
            user_id: row.user_id.map(|id| id.0),
            session_id: row.session_id.map(|id| id.0),
            operator: row.operator,
            network: row.network,
        },
        count: row.count,
        at: time(row.created_at),
    }
}

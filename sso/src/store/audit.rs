//! What was decided, and why. Rows are added and, when they are old, taken away.

use std::{cmp::Reverse, time::SystemTime};

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{after_all_until, at, before_all_from, time};
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
    let mut kinds: Vec<i16> = filter.kinds.iter().map(|kind| number((*kind).into())).collect();
    kinds.sort_unstable();
    kinds.dedup();
    // A user has few events. Else each kind is read by itself, from its index, so that a rare one is found without a walk along the others.
    if kinds.len() < 2 || filter.user_id.is_some() {
        return some(c, filter, &kinds, before, limit);
    }
    let mut events = Vec::new();
    for kind in kinds {
        events.extend(some(c, filter, &[kind], before, limit)?);
    }
    events.sort_unstable_by_key(|event| Reverse(event.id));
    events.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(events)
}

/// The same of those of `kinds`: of a user, of one kind, or of all.
fn some(c: &mut Conn, filter: &Filter, kinds: &[i16], before: Option<Uuid>, limit: i64) -> QueryResult<Vec<Recorded>> {
    let last = before.into_iter().chain(filter.until.map(after_all_until)).min();
    let rows: Vec<Row> = on!(c => {
        let mut some = audit_events::table.into_boxed();
        if let Some(last) = last {
            some = some.filter(audit_events::id.lt(Id(last)));
        }
        if let Some(user_id) = filter.user_id {
            some = some.filter(audit_events::user_id.eq(Id(user_id)));
        }
        match kinds {
            [] => {}
            // By a term, which keeps SQLite from the index of kinds.
            _ if filter.user_id.is_some() => some = some.filter((audit_events::kind + 0).eq_any(kinds)),
            _ => some = some.filter(audit_events::kind.eq(kinds[0])),
        }
        if let Some(from) = filter.from {
            some = some
                .filter(audit_events::id.gt(Id(before_all_from(from))))
                .filter(audit_events::created_at.ge(at(from)));
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
        .filter((audit_events::kind + 0).eq(number(Kind::UserDeleted.into())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::Error,
        store::fixture::{plans, postgres, sqlite},
    };

    #[tokio::test]
    async fn a_page_walks_along_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = sqlite(&folder).await;
        let all = Filter { user_id: None, kinds: Vec::new(), from: None, until: None };
        let (then, someone) = (Some(SystemTime::UNIX_EPOCH), Some(Uuid::from_u128(1)));
        let (one, two) = (vec![Kind::KeyRotated], vec![Kind::KeyRotated, Kind::UserDeleted]);
        let (by_time, by_kind) = ("PRIMARY KEY (id>? AND id<?)", "INDEX audit_events_kind (kind=?)");
        for (filter, walked) in [
            (Filter { from: then, until: then, ..all.clone() }, vec![by_time]),
            (Filter { kinds: one.clone(), ..all.clone() }, vec![by_kind]),
            (Filter { kinds: two.clone(), ..all.clone() }, vec![by_kind, by_kind]),
            (Filter { kinds: one, from: then, ..all.clone() }, vec!["INDEX audit_events_kind (kind=? AND id>?)"]),
            (Filter { kinds: two, user_id: someone, ..all }, vec!["INDEX audit_events_user (user_id=?)"]),
        ] {
            let asked = move |c: &mut Conn| drop(page(c, &filter, None, 9).expect("a page"));
            let steps: Vec<_> = walked.iter().map(|by| format!("SEARCH audit_events USING {by}")).collect();
            assert_eq!(plans(&db, asked).await, steps);
        }
        let asked = |c: &mut Conn| assert_eq!(deleted_at(c, Uuid::from_u128(1)).expect("a look"), None);
        assert_eq!(plans(&db, asked).await, ["SEARCH audit_events USING INDEX audit_events_user (user_id=?)"]);
    }
    /// On both engines; PostgreSQL used to answer that no row was meant.
    #[tokio::test]
    async fn an_event_is_never_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        for db in [Some(sqlite(&folder).await), postgres().await].into_iter().flatten() {
            let event = Event::new(Kind::KeyRotated);
            let recorded = Recorded { id: Uuid::from_u128(1), event, count: 1, at: SystemTime::UNIX_EPOCH };
            db.write("record", move |c| Ok::<_, Error>(insert(c, &recorded)?)).await.expect("recorded");
            let forge = |c: &mut Conn| {
                Ok::<_, Error>(on!(c => diesel::update(audit_events::table)
                    .set(audit_events::count.eq(2))
                    .execute(c))?)
            };
            db.write("forge", forge).await.expect_err("refused");
        }
    }
}

//! SSO's users beside those of a target.

use std::time::SystemTime;

use db::{At, Conn, Id, Lease, on, work::End};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{
    at, deletion,
    provisioning::{DEBTS, Debts},
    users,
};
use crate::{
    model::{Difference, Known, Target},
    schema::{provisioning, users as people},
};

/// Up to `limit` users with an id above `after`, by id.
pub(crate) fn page(c: &mut Conn, after: Uuid, limit: i64) -> QueryResult<Vec<Known>> {
    type Row = (Id, String, i16, i16, i64);
    let rows: Vec<Row> = on!(c => people::table
        .filter(people::id.gt(Id(after)))
        .order(people::id)
        .limit(limit)
        .select((people::id, people::username, people::account_type, people::official_tier, people::version))
        .load(c))?;
    let known =
        |(id, username, account_type, tier, version): Row| Known { id: id.0, username, account_type, tier, version };
    Ok(rows.into_iter().map(known).collect())
}

/// Whether something is owed to the target about the user already.
pub(crate) fn is_owed(c: &mut Conn, user_id: Uuid, target: Target) -> QueryResult<bool> {
    let rows = provisioning::table
        .filter(provisioning::user_id.eq(Id(user_id)))
        .filter(provisioning::target.eq(target as i16));
    on!(c => diesel::select(diesel::dsl::exists(rows)).get_result(c))
}

/// Owes what mends a difference: `one` to the target, or `all` to every target. Looks again first, for it was seen some time ago. Returns whether anything was
/// done.
pub(crate) fn mend(
    c: &mut Conn,
    user_id: Uuid,
    difference: Difference,
    one: &Debts,
    all: &Debts,
    now: SystemTime,
) -> QueryResult<bool> {
    // The change of a user waits here, and is seen.
    let version: Option<i64> = match c {
        Conn::Sqlite(c) => people::table.find(Id(user_id)).select(people::version).first(c).optional()?,
        Conn::Postgres(c) => {
            people::table.find(Id(user_id)).select(people::version).for_update().first(c).optional()?
        }
    };
    match (difference, version) {
        (Difference::Behind, Some(_)) => one.owe(c, now)?,
        (Difference::Ahead(theirs), Some(ours)) if theirs >= ours => {
            on!(c => diesel::update(people::table.find(Id(user_id)))
                .set((people::version.eq(theirs + 1), people::updated_at.eq(at(now))))
                .execute(c))?;
            all.owe(c, now)?;
        }
        (Difference::Deleted(theirs) | Difference::Unknown(theirs), None) => {
            deletion::bury(c, user_id, theirs + 1, now)?;
            one.owe(c, now)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// A target knows the user at a version that SSO has not come to: what SSO has becomes later than it, and is owed to `all`, unless somebody else holds the debt by now:
/// then the user has changed since, and whoever tells of that finds out.
pub(crate) fn outdo(c: &mut Conn, lease: &Lease, theirs: i64, all: &Debts, now: SystemTime) -> QueryResult<End> {
    // The user before the debt, as in a change.
    users::lock(c, lease.subject)?;
    let end = DEBTS.finish(c, lease)?;
    if end == End::Done {
        mend(c, lease.subject, Difference::Ahead(theirs), all, all, now)?;
    }
    Ok(end)
}

/// Whether a user has changed since `since`: then somebody is at it.
pub(crate) fn changed_since(c: &mut Conn, user_id: Uuid, since: SystemTime) -> QueryResult<bool> {
    let updated: Option<At> = on!(c => people::table.find(Id(user_id)).select(people::updated_at).first(c).optional())?;
    Ok(updated.is_some_and(|updated| updated > at(since)))
}

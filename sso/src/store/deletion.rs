//! Users that go, and what stays of them until every target knows.

use std::time::SystemTime;

use db::{At, Conn, Id, Lease, on, work::End};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{
    at, challenges,
    provisioning::{DEBTS, Debts},
    sessions, users,
};
use crate::{
    model::Truth,
    schema::{provisioning as debts, tombstones, users as people},
    session::Ending,
};

#[derive(Insertable)]
#[diesel(table_name = tombstones, treat_none_as_default_value = false)]
struct Row {
    user_id: Id,
    version: i64,
    created_at: At,
}

/// Deletes a user, with its identifiers and verifications, and keeps the version that the targets are to be told. `None` if there is no such user; with
/// `unverified_until`, also if it is verified, or was created later.
pub(crate) fn delete(
    c: &mut Conn,
    user_id: Uuid,
    unverified_until: Option<SystemTime>,
    now: SystemTime,
) -> QueryResult<Option<i64>> {
    if unverified_until.is_none() {
        // Not by the foreign key, which would take them away. Whoever verified nothing has none.
        challenges::end_all(c, user_id)?;
    }
    let version: Option<i64> = on!(c => {
        // On PostgreSQL a delete that had to wait for another transaction looks at the row again.
        let mut doomed = diesel::delete(people::table.filter(people::id.eq(Id(user_id)))).into_boxed();
        if let Some(until) = unverified_until {
            doomed = doomed.filter(people::is_verified.eq(false)).filter(people::created_at.le(at(until)));
        }
        doomed.returning(people::version).get_result(c).optional()
    })?;
    let Some(version) = version else { return Ok(None) };
    bury(c, user_id, version + 1, now)?;
    Ok(Some(version + 1))
}

/// Keeps that a user is deleted as of `version`, or of the one that is kept already. Until the end of the transaction [`finish`] waits: the tombstone stays for what
/// is owed here.
pub(crate) fn bury(c: &mut Conn, user_id: Uuid, version: i64, now: SystemTime) -> QueryResult<usize> {
    let row = Row { user_id: Id(user_id), version, created_at: at(now) };
    on!(c => diesel::insert_into(tombstones::table)
        .values(&row)
        .on_conflict(tombstones::user_id)
        .do_update()
        .set(tombstones::version.eq(tombstones::version))
        .execute(c))
}

/// Up to `limit` users who signed up until `until` and never verified anything, oldest first.
pub(crate) fn never_verified(c: &mut Conn, until: SystemTime, limit: i64) -> QueryResult<Vec<Uuid>> {
    let ids: Vec<Id> = on!(c => people::table
        .filter(people::is_verified.eq(false))
        .filter(people::created_at.le(at(until)))
        .order(people::created_at)
        .limit(limit)
        .select(people::id)
        .load(c))?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// What the targets are to be told of a user. `None` if it never was, or all know that it is deleted.
pub(crate) fn truth(c: &mut Conn, user_id: Uuid) -> QueryResult<Option<Truth>> {
    if let Some(user) = users::find(c, user_id)? {
        return Ok(Some(Truth::Alive(Box::new(user))));
    }
    let version: Option<i64> =
        on!(c => tombstones::table.find(Id(user_id)).select(tombstones::version).first(c).optional())?;
    Ok(version.map(|version| Truth::Deleted { version }))
}

/// A target knows of a deletion that SSO has forgotten: the user goes here too, and every target is told, unless somebody else holds the debt by
/// now, and so may know better. And whether the user was still here.
pub(crate) fn believe(c: &mut Conn, lease: &Lease, debts: &Debts, ending: Ending) -> QueryResult<(End, bool)> {
    // The user before the debt, as in a change.
    users::lock(c, lease.subject)?;
    let end = DEBTS.finish(c, lease)?;
    if end != End::Done {
        return Ok((end, false));
    }
    // Not by the foreign key, which would tell nobody.
    sessions::end_all(c, lease.subject, None, ending)?;
    let deleted = delete(c, lease.subject, None, ending.at)?.is_some();
    if deleted {
        debts.owe(c, ending.at)?;
    }
    Ok((end, deleted))
}

/// A worker found nobody to tell of: the debt goes, if it is still so, for the server that was asked may have been behind. Else it is due again.
pub(crate) fn forget(c: &mut Conn, lease: &Lease, now: SystemTime) -> QueryResult<End> {
    match truth(c, lease.subject)? {
        None => DEBTS.finish(c, lease),
        Some(_) => DEBTS.postpone(c, lease, Some(at(now)), "somebody after all"),
    }
}

/// A target knows that the user is deleted: the debt goes, and with the last one the tombstone, unless somebody else holds the debt by now.
pub(crate) fn finish(c: &mut Conn, lease: &Lease) -> QueryResult<End> {
    let id = Id(lease.subject);
    // Two targets that answer at once would each see the other's debt, and leave the tombstone for ever. So the second waits here for the first.
    on!(c => diesel::update(tombstones::table.find(id)).set(tombstones::version.eq(tombstones::version)).execute(c))?;
    let finished = DEBTS.finish(c, lease)?;
    on!(c => diesel::delete(tombstones::table.find(id))
        .filter(diesel::dsl::not(diesel::dsl::exists(debts::table.filter(debts::user_id.eq(id)))))
        .execute(c))?;
    Ok(finished)
}

#[cfg(test)]
mod tests;

//! Users by the page and by the batch, for operators.

use std::time::SystemTime;

use db::{Conn, Id, on};
use diesel::{QueryResult, prelude::*};
use uuid::Uuid;

use super::{
    after_all_until, at, before_all_from,
    users::{IdentifierRow, UserRow, user},
};
use crate::{
    model::User,
    schema::{identifiers, users},
};

/// Which users to list: those who pass every filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) is_locked: Option<bool>,
    /// As stored.
    pub(crate) account_type: Option<i16>,
    pub(crate) is_verified: Option<bool>,
    pub(crate) from: Option<SystemTime>,
    pub(crate) until: Option<SystemTime>,
}

/// Up to `limit` users after the id `after`, in the order of their ids, which is that of their sign-ups.
pub(crate) fn page(c: &mut Conn, after: Uuid, filter: &Filter, limit: i64) -> QueryResult<Vec<User>> {
    let after = filter.from.map_or(after, |from| after.max(before_all_from(from)));
    let rows: Vec<UserRow> = on!(c => {
        let mut some = users::table.filter(users::id.gt(Id(after))).into_boxed();
        if let Some(is_locked) = filter.is_locked {
            some = some.filter(users::locked_at.is_not_null().eq(is_locked));
        }
        if let Some(account_type) = filter.account_type {
            some = some.filter(users::account_type.eq(account_type));
        }
        if let Some(is_verified) = filter.is_verified {
            some = some.filter(users::is_verified.eq(is_verified));
        }
        if let Some(from) = filter.from {
            some = some.filter(users::created_at.ge(at(from)));
        }
        if let Some(until) = filter.until {
            some = some.filter(users::id.lt(Id(after_all_until(until)))).filter(users::created_at.lt(at(until)));
        }
        some.order(users::id).limit(limit).select(UserRow::as_select()).load(c)
    })?;
    with_claims(c, rows)
}

/// The users who have one of these ids, in the order of their ids.
pub(crate) fn batch(c: &mut Conn, ids: &[Uuid]) -> QueryResult<Vec<User>> {
    let ids: Vec<Id> = ids.iter().copied().map(Id).collect();
    let rows = on!(c => users::table
        .filter(users::id.eq_any(&ids))
        .order(users::id)
        .select(UserRow::as_select())
        .load(c))?;
    with_claims(c, rows)
}

/// Users with all their identifiers.
fn with_claims(c: &mut Conn, rows: Vec<UserRow>) -> QueryResult<Vec<User>> {
    let ids: Vec<Id> = rows.iter().map(|row| Id(row.id.0)).collect();
    let mut claims: Vec<IdentifierRow> = on!(c => identifiers::table
        .filter(identifiers::user_id.eq_any(&ids))
        .order(identifiers::id)
        .select(IdentifierRow::as_select())
        .load(c))?;
    let of = |row: UserRow| {
        let (own, rest) = std::mem::take(&mut claims).into_iter().partition(|claim| claim.user_id.0 == row.id.0);
        claims = rest;
        user(row, own)
    };
    Ok(rows.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::store::fixture::{plans, sqlite};

    #[tokio::test]
    async fn a_page_of_a_time_walks_along_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = sqlite(&folder).await;
        let filter = Filter { from: Some(UNIX_EPOCH), until: Some(UNIX_EPOCH), ..Filter::default() };
        let asked = move |c: &mut Conn| drop(page(c, Uuid::nil(), &filter, 9).expect("a page"));
        let steps = plans(&db, asked).await;
        assert_eq!(steps[0], "SEARCH users USING PRIMARY KEY (id>? AND id<?)");
    }
}

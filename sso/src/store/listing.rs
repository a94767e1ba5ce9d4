//! Users by the page and by the batch, for operators.

use std::time::SystemTime;

use db::{Conn, Id, on};
use diesel::{QueryResult, dsl::sql, prelude::*, sql_types::Integer};
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

/// The account types there are.
const TYPES: [i16; 2] = [1, 2];
/// Whether a user is locked, as the index has it.
const LOCKED: &str = "CASE WHEN locked_at IS NULL THEN 0 ELSE 1 END";

/// Account type, whether locked, whether verified.
type Group = (i16, bool, bool);

impl Filter {
    /// The groups that pass; none if all do.
    fn groups(&self) -> Vec<Group> {
        if (self.account_type, self.is_locked, self.is_verified) == (None, None, None) {
            return Vec::new();
        }
        let passes = |(account_type, is_locked, is_verified): &Group| {
            self.account_type.is_none_or(|wanted| wanted == *account_type)
                && self.is_locked.is_none_or(|wanted| wanted == *is_locked)
                && self.is_verified.is_none_or(|wanted| wanted == *is_verified)
        };
        let states = [(false, false), (false, true), (true, false), (true, true)];
        let all = TYPES.into_iter().flat_map(|kind| states.map(|(locked, verified)| (kind, locked, verified)));
        all.filter(passes).collect()
    }
}

/// Up to `limit` users after the id `after`, in the order of their ids, which is that of their sign-ups. Each group is read by itself, from the index, so that a rare
/// one is found without a walk along the others.
pub(crate) fn page(c: &mut Conn, after: Uuid, filter: &Filter, limit: i64) -> QueryResult<Vec<User>> {
    let groups = filter.groups();
    if groups.is_empty() {
        let rows = some(c, after, filter, None, limit)?;
        return with_claims(c, rows);
    }
    let mut rows = Vec::new();
    for group in groups {
        rows.extend(some(c, after, filter, Some(group), limit)?);
    }
    rows.sort_unstable_by_key(|row| row.id.0);
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    with_claims(c, rows)
}

/// The same of one group, or of all.
fn some(c: &mut Conn, after: Uuid, filter: &Filter, group: Option<Group>, limit: i64) -> QueryResult<Vec<UserRow>> {
    let after = filter.from.map_or(after, |from| after.max(before_all_from(from)));
    on!(c => {
        let mut some = users::table.filter(users::id.gt(Id(after))).into_boxed();
        if let Some((account_type, is_locked, is_verified)) = group {
            some = some
                .filter(users::account_type.eq(account_type))
                .filter(sql::<Integer>(LOCKED).eq(i32::from(is_locked)))
                .filter(users::is_verified.eq(is_verified));
        }
        if let Some(from) = filter.from {
            some = some.filter(users::created_at.ge(at(from)));
        }
        if let Some(until) = filter.until {
            some = some.filter(users::id.lt(Id(after_all_until(until)))).filter(users::created_at.lt(at(until)));
        }
        some.order(users::id).limit(limit).select(UserRow::as_select()).load(c)
    })
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
    async fn a_page_walks_along_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = sqlite(&folder).await;
        let by_index = "INDEX users_listed (account_type=? AND <expr>=? AND is_verified=? AND id>?)";
        let (all, then) = (Filter::default(), Some(UNIX_EPOCH));
        for (filter, walked, times) in [
            (Filter { from: then, until: then, ..all }, "PRIMARY KEY (id>? AND id<?)", 1),
            (Filter { is_locked: Some(true), ..all }, by_index, 4),
            (Filter { account_type: Some(2), from: then, ..all }, by_index, 4),
            (Filter { is_locked: Some(false), account_type: Some(1), is_verified: Some(false), ..all }, by_index, 1),
        ] {
            let asked = move |c: &mut Conn| drop(page(c, Uuid::nil(), &filter, 9).expect("a page"));
            let mut steps = plans(&db, asked).await;
            steps.retain(|step| step.contains(" users "));
            assert_eq!(steps, vec![format!("SEARCH users USING {walked}"); times], "{filter:?}");
        }
    }
}

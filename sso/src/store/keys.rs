//! The keys that sign access tokens, sealed.

use std::time::SystemTime;

use db::{At, Conn, on};
use diesel::{QueryResult, prelude::*};

use super::at;
use crate::schema::signing_keys;

#[derive(Insertable)]
#[diesel(table_name = signing_keys)]
struct Row<'a> {
    id: &'a str,
    sealed_secret: &'a str,
    created_at: At,
}

/// The sealed secret of the oldest key: replicas that start together agree on it.
pub(crate) fn oldest(c: &mut Conn) -> QueryResult<Option<String>> {
    on!(c => signing_keys::table
        .order((signing_keys::created_at, signing_keys::id))
        .select(signing_keys::sealed_secret)
        .first(c)
        .optional())
}

/// Keeps a key.
pub(crate) fn insert(c: &mut Conn, id: &str, sealed_secret: &str, now: SystemTime) -> QueryResult<usize> {
    let row = Row { id, sealed_secret, created_at: at(now) };
    on!(c => diesel::insert_into(signing_keys::table).values(&row).on_conflict_do_nothing().execute(c))
}

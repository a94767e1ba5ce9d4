//! The keys that sign access tokens, sealed.

use std::time::SystemTime;

use db::{At, Conn, on};
use diesel::{QueryResult, prelude::*};

use super::{at, time};
use crate::schema::signing_keys;

#[derive(Insertable)]
#[diesel(table_name = signing_keys, treat_none_as_default_value = false)]
struct Row<'a> {
    id: &'a str,
    sealed_secret: &'a str,
    created_at: At,
    active_at: At,
}

/// All keys, sealed, with the times from which they sign: the one that signs last comes last, so that replicas agree on it.
pub(crate) fn all(c: &mut Conn) -> QueryResult<Vec<(String, SystemTime)>> {
    let rows: Vec<(String, At)> = on!(c => signing_keys::table
        .order((signing_keys::active_at, signing_keys::id))
        .select((signing_keys::sealed_secret, signing_keys::active_at))
        .load(c))?;
    Ok(rows.into_iter().map(|(sealed, active_at)| (sealed, time(active_at))).collect())
}

/// Lets nobody else change a key that is there before this transaction is over.
pub(crate) fn lock(c: &mut Conn) -> QueryResult<()> {
    if let Conn::Postgres(c) = c {
        signing_keys::table.select(signing_keys::id).order(signing_keys::id).for_update().load::<String>(c)?;
    }
    Ok(())
}

/// Keeps a key that signs from `active_at` on.
pub(crate) fn insert(
    c: &mut Conn,
    id: &str,
    sealed_secret: &str,
    active_at: SystemTime,
    now: SystemTime,
) -> QueryResult<usize> {
    let row = Row { id, sealed_secret, created_at: at(now), active_at: at(active_at) };
    on!(c => diesel::insert_into(signing_keys::table).values(&row).on_conflict_do_nothing().execute(c))
}

/// Takes away all keys that sign from a time before `until` on, but for `spared`.
pub(crate) fn remove(c: &mut Conn, until: SystemTime, spared: &str) -> QueryResult<usize> {
    on!(c => diesel::delete(signing_keys::table)
        .filter(signing_keys::active_at.lt(at(until)))
        .filter(signing_keys::id.ne(spared))
        .execute(c))
}

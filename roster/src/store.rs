//! The statements, each written once for both engines.

use db::{At, Conn, Id, on};
use diesel::{prelude::*, upsert::excluded};

use crate::{
    roster::Change,
    schema::users,
    told::{Account, Told},
};

/// A user as it is kept: a live one, or a tombstone.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) version: i64,
    pub(crate) username: String,
    pub(crate) account_type: i16,
    pub(crate) official_tier: i16,
    pub(crate) display_name: Option<String>,
    pub(crate) about: String,
    pub(crate) created_at: At,
    pub(crate) deleted_at: Option<At>,
}

#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
struct NewRow<'a> {
    id: Id,
    version: i64,
    username: &'a str,
    username_key: &'a str,
    account_type: i16,
    official_tier: i16,
    display_name: Option<&'a str>,
    about: &'a str,
    created_at: At,
    deleted_at: Option<At>,
}

/// Keeps a user who is new. `None` if one of this id is known, or was.
pub(crate) fn insert(c: &mut Conn, told: &Told, now: At) -> QueryResult<Option<Row>> {
    let row = NewRow {
        id: Id(told.id),
        version: told.version,
        username: told.username.as_str(),
        username_key: told.username.key(),
        account_type: told.account.account_type(),
        official_tier: told.account.official_tier(),
        display_name: None,
        about: "",
        created_at: now,
        deleted_at: None,
    };
    on!(c => diesel::insert_into(users::table)
        .values(&row)
        .on_conflict(users::id)
        .do_nothing()
        .returning(Row::as_returning())
        .get_result(c)
        .optional())
}

/// Keeps what was told of a user who is known, if it is newer. A tombstone stays, whatever is told.
pub(crate) fn update(c: &mut Conn, told: &Told) -> QueryResult<usize> {
    on!(c => diesel::update(users::table.find(Id(told.id)))
        .filter(users::version.lt(told.version))
        .filter(users::deleted_at.is_null())
        .set((
            users::version.eq(told.version),
            users::username.eq(told.username.as_str()),
            users::username_key.eq(told.username.key()),
            users::account_type.eq(told.account.account_type()),
            users::official_tier.eq(told.account.official_tier()),
        ))
        .execute(c))
}

/// Leaves a tombstone in place of the user, whatever version is known: so it does not matter what arrives first.
pub(crate) fn bury(c: &mut Conn, id: Id, version: i64, now: At) -> QueryResult<()> {
    // QueryDsl has a filter too, but none for upserts.
    use diesel::query_dsl::methods::FilterDsl as _;

    let row = NewRow {
        id,
        version,
        username: "",
        username_key: "",
        account_type: Account::NONE,
        official_tier: Account::NONE,
        display_name: None,
        about: "",
        created_at: now,
        deleted_at: Some(now),
    };
    on!(c => diesel::insert_into(users::table)
        .values(&row)
        .on_conflict(users::id)
        .do_update()
        .set((
            users::version.eq(excluded(users::version)),
            users::username.eq(excluded(users::username)),
            users::username_key.eq(excluded(users::username_key)),
            users::account_type.eq(excluded(users::account_type)),
            users::official_tier.eq(excluded(users::official_tier)),
            users::display_name.eq(excluded(users::display_name)),
            users::about.eq(excluded(users::about)),
            users::deleted_at.eq(excluded(users::deleted_at)),
        ))
        .filter(users::deleted_at.is_null())
        .execute(c))?;
    Ok(())
}

/// What is known under this id: a user or a tombstone.
pub(crate) fn find(c: &mut Conn, id: Id) -> QueryResult<Option<Row>> {
    on!(c => users::table.find(id).select(Row::as_select()).first(c).optional())
}

/// The user of this id, unless it is deleted.
pub(crate) fn find_live(c: &mut Conn, id: Id) -> QueryResult<Option<Row>> {
    Ok(find(c, id)?.filter(|user| user.deleted_at.is_none()))
}

/// Up to `limit` users that are not deleted, with an id above `after`, by id.
pub(crate) fn page(c: &mut Conn, after: Id, limit: i64) -> QueryResult<Vec<Row>> {
    on!(c => users::table
        .filter(users::id.gt(after))
        .filter(users::deleted_at.is_null())
        .order(users::id)
        .limit(limit)
        .select(Row::as_select())
        .load(c))
}

/// The user of this name, unless it is deleted. While a rename or a swap is under way two may hold it: of these the one told last, as far
/// as versions tell.
pub(crate) fn find_by_username(c: &mut Conn, key: &str) -> QueryResult<Option<Row>> {
    on!(c => users::table
        .filter(users::username_key.eq(key))
        .filter(users::deleted_at.is_null())
        .order((users::version.desc(), users::id.desc()))
        .select(Row::as_select())
        .first(c)
        .optional())
}

/// Changes the fields that are set; `None` if there is no such live user.
pub(crate) fn change(c: &mut Conn, id: Id, change: &Change) -> QueryResult<Option<Row>> {
    let set = Set {
        display_name: change.display_name.as_ref().map(|name| name.as_str()),
        about: change.about.as_ref().map(|about| about.as_str()),
    };
    on!(c => diesel::update(users::table.find(id).filter(users::deleted_at.is_null()))
        .set(&set)
        .returning(Row::as_returning())
        .get_result(c)
        .optional())
}

/// `None` leaves a column as it is.
#[derive(AsChangeset)]
#[diesel(table_name = users)]
struct Set<'a> {
    display_name: Option<&'a str>,
    about: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::{
        connection::{InstrumentationEvent, SimpleConnection as _},
        sql_types::Text,
    };
    use uuid::Uuid;

    use super::*;

    const SCHEMAS: [[&str; 2]; 2] = [
        [
            include_str!("../../social/migrations/sqlite/0001_users/up.sql"),
            include_str!("../../social/migrations/sqlite/0002_live/up.sql"),
        ],
        [
            include_str!("../../blog/migrations/sqlite/0001_users/up.sql"),
            include_str!("../../blog/migrations/sqlite/0002_live/up.sql"),
        ],
    ];

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    #[test]
    fn a_page_walks_no_tombstones() {
        for schema in SCHEMAS {
            let mut c = SqliteConnection::establish(":memory:").expect("a database");
            schema.iter().for_each(|migration| c.batch_execute(migration).expect("migrated"));
            let asked = Arc::new(Mutex::new(String::new()));
            let heard = Arc::clone(&asked);
            c.set_instrumentation(move |event: InstrumentationEvent<'_>| {
                if let InstrumentationEvent::StartQuery { query, .. } = event {
                    *heard.lock().expect("nobody panicked") = query.to_string();
                }
            });
            let c = &mut Conn::Sqlite(c);
            page(c, Id(Uuid::nil()), 200).expect("a page");
            let asked = asked.lock().expect("nobody panicked").clone();
            let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {asked}"));
            let steps: Vec<Step> = on!(c => plan.load(c)).expect("a plan");
            let steps: Vec<_> = steps.iter().map(|step| step.detail.as_str()).collect();
            assert_eq!(steps, ["SEARCH users USING INDEX users_live (id>?)"]);
        }
    }
}

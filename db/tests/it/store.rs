//! A store as services write them.

use db::{At, Conn, Id, on};
use diesel::prelude::*;
use diesel::upsert::excluded;
use uuid::Uuid;

diesel::table! {
    use diesel::sql_types::*;
    use db::sql::{At, Id};

    users (id) {
        id -> Id,
        kind -> SmallInt,
        username -> Text,
        email -> Text,
        visits -> BigInt,
        created_at -> At,
        seen_at -> Nullable<At>,
    }
}

diesel::table! {
    use db::sql::Id;

    notes (id) {
        id -> Id,
        user_id -> Id,
    }
}

#[derive(Debug, Clone, PartialEq, Insertable, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    pub id: Id,
    pub kind: i16,
    pub username: String,
    pub email: String,
    pub visits: i64,
    pub created_at: At,
    pub seen_at: Option<At>,
}

pub fn id(number: u128) -> Id {
    Id(Uuid::from_u128(number))
}

pub fn user(number: u128) -> User {
    User {
        id: id(number),
        kind: 1,
        username: format!("user{number}"),
        email: format!("User{number}@example.com"),
        visits: 0,
        created_at: At(1_700_000_000_000_000 + i64::try_from(number).unwrap()),
        seen_at: None,
    }
}

pub fn insert(c: &mut Conn, user: &User) -> QueryResult<usize> {
    on!(c => diesel::insert_into(users::table).values(user).execute(c))
}

pub fn insert_if_new(c: &mut Conn, user: &User) -> QueryResult<Option<Id>> {
    on!(c => diesel::insert_into(users::table)
        .values(user)
        .on_conflict((users::kind, users::username))
        .do_nothing()
        .returning(users::id)
        .get_result(c)
        .optional())
}

pub fn upsert(c: &mut Conn, user: &User) -> QueryResult<User> {
    on!(c => diesel::insert_into(users::table)
        .values(user)
        .on_conflict(users::id)
        .do_update()
        .set((users::email.eq(excluded(users::email)), users::seen_at.eq(excluded(users::seen_at))))
        .returning(User::as_returning())
        .get_result(c))
}

/// Guarded: counts only the visit the caller has seen.
pub fn visit(c: &mut Conn, id: Id, seen: i64) -> QueryResult<usize> {
    on!(c => diesel::update(users::table.filter(users::id.eq(id)).filter(users::visits.eq(seen)))
        .set(users::visits.eq(users::visits + 1))
        .execute(c))
}

pub fn find(c: &mut Conn, id: Id) -> QueryResult<Option<User>> {
    on!(c => users::table.find(id).select(User::as_select()).first(c).optional())
}

pub fn some_of(c: &mut Conn, ids: &[Id]) -> QueryResult<Vec<String>> {
    on!(c => users::table.filter(users::id.eq_any(ids)).order(users::id).select(users::username).load(c))
}

pub fn page(c: &mut Conn, before: Option<(At, Id)>, limit: i64) -> QueryResult<Vec<User>> {
    on!(c => {
        let mut page = users::table.order((users::created_at.desc(), users::id.desc())).limit(limit).into_boxed();
        if let Some((at, id)) = before {
            page = page.filter(users::created_at.lt(at).or(users::created_at.eq(at).and(users::id.lt(id))));
        }
        page.select(User::as_select()).load(c)
    })
}

pub fn newest(c: &mut Conn) -> QueryResult<Option<At>> {
    on!(c => users::table.select(diesel::dsl::max(users::created_at)).first(c))
}

pub fn count(c: &mut Conn) -> QueryResult<i64> {
    on!(c => users::table.count().get_result(c))
}

pub fn note(c: &mut Conn, id: Id, user: Id) -> QueryResult<usize> {
    on!(c => diesel::insert_into(notes::table).values((notes::id.eq(id), notes::user_id.eq(user))).execute(c))
}

/// How many of PostgreSQL's sessions wait for a lock on a table.
pub fn waits_for_a_lock(c: &mut Conn) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        sessions: i64,
    }
    let sql = "SELECT count(*) AS sessions FROM pg_locks WHERE locktype = 'relation' AND NOT granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    on!(c => diesel::sql_query(sql).get_result::<Waiting>(c)).map(|waiting| waiting.sessions)
}

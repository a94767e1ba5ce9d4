//! The hashes of users' passwords.

use std::time::SystemTime;

use db::{Conn, Id, on};
use diesel::{
    OptionalExtension as _, QueryResult,
    dsl::sql,
    prelude::*,
    sql_types::{Nullable, Text},
};
use uuid::Uuid;

use super::at;
use crate::schema::users;

/// The hash of a user's password, if it has one.
pub(crate) fn of(c: &mut Conn, user_id: Uuid) -> QueryResult<Option<Option<String>>> {
    on!(c => users::table.find(Id(user_id)).select(users::password_hash).first(c).optional())
}

/// The highest cost that a password is hashed at, as bcrypt writes it, if there is one. By an index.
pub(crate) fn highest_cost(c: &mut Conn) -> QueryResult<Option<String>> {
    on!(c => users::table.select(sql::<Nullable<Text>>("max(substr(password_hash, 5, 2))")).get_result(c))
}

/// Sets a password by its hash.
pub(crate) fn set(c: &mut Conn, user_id: Uuid, hash: &str, now: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::update(users::table.find(Id(user_id)))
        .set((users::password_hash.eq(hash), users::updated_at.eq(at(now))))
        .execute(c))
}

/// Puts a fresh hash in place of `old`, unless the password has changed meanwhile.
pub(crate) fn rehash(c: &mut Conn, user_id: Uuid, old: &str, fresh: &str) -> QueryResult<usize> {
    on!(c => diesel::update(users::table.find(Id(user_id)))
        .filter(users::password_hash.eq(old))
        .set(users::password_hash.eq(fresh))
        .execute(c))
}

#[cfg(test)]
mod tests;

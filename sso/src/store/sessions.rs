//! Sessions. A refresh is one guarded update of one row; everything that ends a session deletes it, and leaves a revocation if access tokens may outlive it.

use std::time::SystemTime;

use db::{At, Conn, Id, Old, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::{at, revocations, time};
use crate::{
    schema::{sessions, users},
    session::{Ending, Session},
};

/// Sessions that ended by themselves, and whose tokens did long ago: by when they were refreshed last.
pub(crate) const IDLE: Old = Old::new("sessions", "id", "refreshed_at");
/// The same, by when they began.
pub(crate) const AGED: Old = Old::new("sessions", "id", "created_at");

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = sessions, treat_none_as_default_value = false)]
struct Row {
    id: Id,
    user_id: Id,
    generation: i64,
    device_label: String,
    network: String,
    created_at: At,
    refreshed_at: At,
}

/// Keeps a session.
pub(crate) fn insert(c: &mut Conn, session: &Session) -> QueryResult<usize> {
    let row = Row {
        id: Id(session.id),
        user_id: Id(session.user_id),
        generation: session.generation,
        device_label: session.device_label.clone(),
        network: session.network.clone(),
        created_at: at(session.created_at),
        refreshed_at: at(session.refreshed_at),
    };
    on!(c => diesel::insert_into(sessions::table).values(&row).execute(c))
}

/// One session.
pub(crate) fn find(c: &mut Conn, id: Uuid) -> QueryResult<Option<Session>> {
    let row: Option<Row> = on!(c => sessions::table.find(Id(id)).select(Row::as_select()).first(c).optional())?;
    Ok(row.map(session))
}

/// One session, which nobody else changes or ends before this transaction is over.
pub(crate) fn lock(c: &mut Conn, id: Uuid) -> QueryResult<Option<Session>> {
    let row: Option<Row> = match c {
        Conn::Sqlite(c) => sessions::table.find(Id(id)).select(Row::as_select()).first(c).optional(),
        Conn::Postgres(c) => sessions::table.find(Id(id)).select(Row::as_select()).for_update().first(c).optional(),
    }?;
    Ok(row.map(session))
}

/// Moves a session from `generation` to the next. 0 if it is not there any more.
pub(crate) fn advance(c: &mut Conn, id: Uuid, generation: i64, now: SystemTime) -> QueryResult<usize> {
    on!(c => diesel::update(sessions::table.find(Id(id)))
        .filter(sessions::generation.eq(generation))
        .set((sessions::generation.eq(generation + 1), sessions::refreshed_at.eq(at(now))))
        .execute(c))
}

/// A user's sessions, the one used last first.
pub(crate) fn of_user(c: &mut Conn, user_id: Uuid) -> QueryResult<Vec<Session>> {
    let rows: Vec<Row> = on!(c => sessions::table
        .filter(sessions::user_id.eq(Id(user_id)))
        .order((sessions::refreshed_at.desc(), sessions::id.desc()))
        .select(Row::as_select())
        .load(c))?;
    Ok(rows.into_iter().map(session).collect())
}

/// Ends a session of a user's. 0 if there is none of this id.
pub(crate) fn end(c: &mut Conn, user_id: Uuid, id: Uuid, ending: Ending) -> QueryResult<usize> {
    let ended: Vec<Id> = on!(c => diesel::delete(sessions::table.find(Id(id)))
        .filter(sessions::user_id.eq(Id(user_id)))
        .returning(sessions::id)
        .get_results(c))?;
    revocations::insert(c, &ended, ending)
}

/// Ends all sessions of a user's, but for `spared`.
pub(crate) fn end_all(c: &mut Conn, user_id: Uuid, spared: Option<Uuid>, ending: Ending) -> QueryResult<usize> {
    // No session has the nil id.
    let spared = Id(spared.unwrap_or_default());
    let ended: Vec<Id> = on!(c => diesel::delete(sessions::table)
        .filter(sessions::user_id.eq(Id(user_id)))
        .filter(sessions::id.ne(spared))
        .returning(sessions::id)
        .get_results(c))?;
    revocations::insert(c, &ended, ending)
}

/// Leaves a user at most `most` sessions: those idle the longest go. Locks the user, so that two sign-ins do not both find room for one.
pub(crate) fn trim(c: &mut Conn, user_id: Uuid, most: i64, ending: Ending) -> QueryResult<usize> {
    if let Conn::Postgres(c) = c {
        users::table.find(Id(user_id)).select(users::id).for_update().first::<Id>(c).optional()?;
    }
    let idle: Vec<Id> = on!(c => sessions::table
        .filter(sessions::user_id.eq(Id(user_id)))
        .order((sessions::refreshed_at.desc(), sessions::id.desc()))
        .offset(most)
        // SQLite knows no OFFSET without a LIMIT.
        .limit(1000)
        .select(sessions::id)
        .load(c))?;
    let ended: Vec<Id> = on!(c => diesel::delete(sessions::table)
        .filter(sessions::id.eq_any(&idle))
        .returning(sessions::id)
        .get_results(c))?;
    revocations::insert(c, &ended, ending)
}

fn session(row: Row) -> Session {
    Session {
        id: row.id.0,
        user_id: row.user_id.0,
        generation: row.generation,
        device_label: row.device_label,
        network: row.network,
        created_at: time(row.created_at),
        refreshed_at: time(row.refreshed_at),
    }
}

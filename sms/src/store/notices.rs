//! Notices that were taken on.

use db::{At, Conn, Id, on};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::notices;

/// A notice, and how to know the same request again.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = notices, treat_none_as_default_value = false)]
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) request_id: Id,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) notice: i16,
    pub(crate) destination: String,
    pub(crate) sent_at: At,
    pub(crate) kept_until: At,
}

pub(crate) fn insert(c: &mut Conn, row: &Row) -> QueryResult<usize> {
    on!(c => diesel::insert_into(notices::table).values(row).execute(c))
}

pub(crate) fn find(c: &mut Conn, id: Uuid) -> QueryResult<Option<Row>> {
    let query = notices::table.find(Id(id));
    on!(c => query.select(Row::as_select()).first(c).optional())
}

pub(crate) fn by_request(c: &mut Conn, request_id: Uuid) -> QueryResult<Option<Row>> {
    let query = notices::table.filter(notices::request_id.eq(Id(request_id)));
    on!(c => query.select(Row::as_select()).first(c).optional())
}

/// When messages of a notice went to a destination after `since`, newest first.
pub(crate) fn past(c: &mut Conn, destination: &str, notice: i16, since: At, most: u16) -> QueryResult<Vec<At>> {
    let query = notices::table
        .filter(notices::destination.eq(destination))
        .filter(notices::notice.eq(notice))
        .filter(notices::sent_at.gt(since))
        .order(notices::sent_at.desc())
        .limit(most.into())
        .select(notices::sent_at);
    on!(c => query.load(c))
}

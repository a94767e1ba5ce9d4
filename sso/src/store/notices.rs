//! What users are to be told of their accounts: leased work ([`db::work`]), one row a message, deleted once SMS has taken it on.

use std::time::SystemTime;

use db::{Conn, Id, Lease, Work, on};
use diesel::{OptionalExtension as _, QueryResult, prelude::*};
use uuid::Uuid;

use super::at;
use crate::{identifier::Identifier, model::Notice, schema::notices};

/// The work, by the id that SMS is to know the message by.
pub(crate) const NOTICES: Work = Work::new("notices", "message_id");
/// To whom it is owed: SMS, and nobody else.
pub(crate) const SMS: i16 = 1;

/// Owes a message, in the transaction that gives reason for it. What the same identifier was to be told already, and was not yet, is told by this one.
pub(crate) fn owe(
    c: &mut Conn,
    id: Uuid,
    user_id: Uuid,
    notice: Notice,
    identifier: &Identifier,
    now: SystemTime,
) -> QueryResult<()> {
    on!(c => diesel::delete(notices::table)
        .filter(notices::user_id.eq(Some(Id(user_id))))
        .filter(notices::notice.eq(Some(notice as i16)))
        .filter(notices::identifier.eq(Some(identifier.value())))
        .execute(c))?;
    NOTICES.owe(c, id, &Lease::free(id, SMS), at(now), at(now))?;
    on!(c => diesel::update(notices::table.find(Id(id)))
        .set((
            notices::user_id.eq(Some(Id(user_id))),
            notices::notice.eq(Some(notice as i16)),
            notices::identifier_kind.eq(Some(identifier.kind())),
            notices::identifier.eq(Some(identifier.value())),
        ))
        .execute(c))?;
    Ok(())
}

/// What is to be told, and to whom. `None` if nothing is any more.
pub(crate) fn find(c: &mut Conn, id: Uuid) -> QueryResult<Option<(Notice, Identifier)>> {
    let found: Option<(Option<i16>, Option<i16>, Option<String>)> = on!(c => notices::table
        .filter(notices::message_id.eq(Id(id)))
        .select((notices::notice, notices::identifier_kind, notices::identifier))
        .first(c)
        .optional())?;
    let told = |(notice, kind, value): (Option<i16>, Option<i16>, Option<String>)| {
        Some((Notice::from_stored(notice?), Identifier::stored(kind?, value?)))
    };
    Ok(found.and_then(told))
}

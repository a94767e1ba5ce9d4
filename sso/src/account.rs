//! What persons do with their own account.

use std::sync::Arc;

use mesh::Person;

use crate::{error::Error, model::User, session, sso::Sso, store};

/// The caller's own account.
///
/// # Errors
/// [`Error::SessionEnded`].
pub(crate) async fn get(sso: &Arc<Sso>, person: Person) -> Result<User, Error> {
    let (limits, now) = (sso.sessions, sso.clock.now());
    sso.db
        .read("account", move |c| {
            session::require(c, person, &limits, now)?;
            store::users::find(c, person.user_id)?.ok_or(Error::UserNotFound)
        })
        .await
}

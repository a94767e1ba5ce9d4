//! What an access token is worth at this moment.

use std::sync::Arc;

use mesh::{
    Person,
    token::{Claims, Kind},
};

use crate::{error::Error, session, sso::Sso};

/// The claims of an access token that holds and whose session has not ended; `None` of any other text. Whoever locks a user ends the sessions, so that a
/// session that goes on says enough of its user.
///
/// # Errors
/// Of the database alone.
pub(crate) async fn introspect(sso: &Arc<Sso>, token: &str) -> Result<Option<Claims>, Error> {
    let Ok(claims) = sso.verifier.verify_fresh(token).await else { return Ok(None) };
    let person = claims.user_id().zip(claims.session).filter(|_| claims.kind == Kind::Access);
    let Some((user_id, session_id)) = person else { return Ok(None) };
    let (limits, now) = (sso.sessions, sso.clock.now());
    let held =
        sso.db.read("introspect", move |c| match session::require(c, Person { user_id, session_id }, &limits, now) {
            Ok(_) => Ok(true),
            Err(Error::SessionEnded) => Ok(false),
            Err(error) => Err(error),
        });
    Ok(held.await?.then_some(claims))
}

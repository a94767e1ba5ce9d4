//! What an access token is worth at this moment.

use std::sync::Arc;

use mesh::{
    Person,
    token::{Claims, Kind, TokenError},
};

use crate::{
    audit::{Event, Kind as Audited, Reason},
    error::Error,
    session::{self, Caller},
    sso::Sso,
};

/// The claims of an access token that holds and whose session has not ended; `None` of any other text, which is counted. Whoever locks a user ends the sessions, so that a
/// session that goes on says enough of its user.
///
/// # Errors
/// Of the database alone.
pub(crate) async fn introspect(sso: &Arc<Sso>, token: &str) -> Result<Option<Arc<Claims>>, Error> {
    let verified = sso.verifier.verify_fresh(token).await;
    if let Err(TokenError::Unreachable) = verified {
        // Keys are asked of the database.
        return Err(db::Error::Unavailable.into());
    }
    let claims = verified.ok().filter(|claims| claims.kind == Kind::Access);
    let named = claims.and_then(|claims| {
        let (user_id, session_id) = claims.user_id().zip(claims.session)?;
        Some((Person { user_id, session_id }, claims))
    });
    let Some((person, claims)) = named else {
        sso.audit.count(Event::new(Audited::TokenRefused).because(Reason::TokenInvalid));
        return Ok(None);
    };
    let (limits, now) = (sso.sessions, sso.clock.now());
    match sso.db.read("introspect", move |c| session::require(c, person, &limits, now)).await {
        Ok(_) => Ok(Some(claims)),
        Err(Error::SessionEnded) => {
            let caller = Caller { person, address: None };
            sso.audit.count(caller.event(Audited::TokenRefused).because(Reason::SessionOver));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

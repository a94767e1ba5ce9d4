//! That whoever asks is the person and not somebody with their token: what changes how a person signs in asks for more than a session (OWASP ASVS 5.0, 7.5.1).

use std::{sync::Arc, time::Duration};

use crate::{
    audit::{Kind, Reason},
    error::Error,
    password::Password,
    session::{self, Caller},
    sso::Sso,
    store,
    throttle::{self, Ticket, Who},
};

/// How long after a sign-in its session needs no password. A refresh proves nothing, and does not count.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Has the person prove it: by the password, or by having signed in a moment ago. A password that was right is a ticket, whose count the caller takes back in its
/// commit; without one it is a ticket for nothing.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::NotFresh`], [`Error::CredentialsInvalid`], [`Error::Limited`], overload.
pub(crate) async fn prove(sso: &Arc<Sso>, caller: Caller, password: Option<&Password>) -> Result<Ticket, Error> {
    let (limits, now, person) = (sso.sessions, sso.clock.now(), caller.person);
    let found = sso.db.read("fresh", move |c| {
        let session = session::require(c, person, &limits, now)?;
        Ok::<_, Error>((session.created_at, store::passwords::of(c, person.user_id)?.flatten()))
    });
    let (signed_in_at, stored) = found.await?;
    match password {
        Some(password) => check(sso, caller, password, stored).await,
        None if now <= signed_in_at + FRESH => Ok(Ticket::default()),
        None => {
            refuse(sso, caller, Reason::NotFresh);
            Err(Error::NotFresh)
        }
    }
}

/// Has a signed-in person's password compared, and counts the try before: a token in the wrong hands must not become a way to guess it.
///
/// # Errors
/// [`Error::CredentialsInvalid`], [`Error::Limited`], overload.
pub(crate) async fn check(
    sso: &Arc<Sso>,
    caller: Caller,
    password: &Password,
    stored: Option<String>,
) -> Result<Ticket, Error> {
    let ticket = throttle::take(sso, &Who::User(caller.person.user_id), caller.address).await?;
    let compared = sso.hasher.check(password, stored).await.map_err(Error::from);
    if ticket.settle(sso, compared).await? {
        return Ok(ticket);
    }
    refuse(sso, caller, Reason::PasswordWrong);
    Err(Error::CredentialsInvalid)
}

/// Counts a password that let nobody do what they wanted.
pub(crate) fn refuse(sso: &Sso, caller: Caller, reason: Reason) {
    sso.audit.count(caller.event(Kind::PasswordRefused).because(reason));
}

//! That whoever asks is the person and not somebody with their token: what changes how a person signs in asks for more than a session (OWASP ASVS 5.0, 7.5.1).

use std::{net::IpAddr, sync::Arc, time::Duration};

use mesh::Person;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    password::Password,
    session,
    sso::Sso,
    store,
    throttle::{self, Ticket, Who},
};

/// How long after a sign-in its session needs no password. A refresh proves nothing, and does not count.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Has the person prove it: by the password, or by having signed in a moment ago. A password that was right is a ticket, whose count the caller takes back in its
/// commit.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::NotFresh`], [`Error::CredentialsInvalid`], [`Error::Limited`], overload.
pub(crate) async fn prove(
    sso: &Arc<Sso>,
    person: Person,
    password: Option<&Password>,
    address: Option<IpAddr>,
) -> Result<Option<Ticket>, Error> {
    let (limits, now) = (sso.sessions, sso.clock.now());
    let found = sso.db.read("fresh", move |c| {
        let session = session::require(c, person, &limits, now)?;
        Ok::<_, Error>((session.created_at, store::users::password_hash(c, person.user_id)?.flatten()))
    });
    let (signed_in_at, stored) = found.await?;
    match password {
        Some(password) => check(sso, person, password, stored, address).await.map(Some),
        None if now <= signed_in_at + FRESH => Ok(None),
        None => {
            let refused = Event::new(Kind::PasswordRefused).because(Reason::NotFresh);
            sso.audit.count(refused.of(person.user_id).session(person.session_id).from(address));
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
    person: Person,
    password: &Password,
    stored: Option<String>,
    address: Option<IpAddr>,
) -> Result<Ticket, Error> {
    let ticket = throttle::take(sso, &Who::User(person.user_id), address).await?;
    match sso.hasher.check(password, stored).await {
        Ok(true) => Ok(ticket),
        Ok(false) => {
            let refused = Event::new(Kind::PasswordRefused).because(Reason::PasswordWrong);
            sso.audit.count(refused.of(person.user_id).session(person.session_id).from(address));
            Err(Error::CredentialsInvalid)
        }
        Err(failure) => {
            ticket.unused(sso).await;
            Err(failure.into())
        }
    }
}

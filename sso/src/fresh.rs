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
/// commit; without one it is a ticket for nothing.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::NotFresh`], [`Error::CredentialsInvalid`], [`Error::Limited`], overload.
pub(crate) async fn prove(
    sso: &Arc<Sso>,
    person: Person,
    password: Option<&Password>,
    address: Option<IpAddr>,
) -> Result<Ticket, Error> {
    let (limits, now) = (sso.sessions, sso.clock.now());
    let found = sso.db.read("fresh", move |c| {
        let session = session::require(c, person, &limits, now)?;
        Ok::<_, Error>((session.created_at, store::passwords::of(c, person.user_id)?.flatten()))
    });
    let (signed_in_at, stored) = found.await?;
    match password {
        Some(password) => check(sso, person, password, stored, address).await,
        None if now <= signed_in_at + FRESH => Ok(Ticket::default()),
        None => {
            refuse(sso, person, Reason::NotFresh, address);
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
    let compared = sso.hasher.check(password, stored).await.map_err(Error::from);
    if ticket.settle(sso, compared).await? {
        return Ok(ticket);
    }
    refuse(sso, person, Reason::PasswordWrong, address);
    Err(Error::CredentialsInvalid)
}

/// Counts a password that let nobody do what they wanted.
pub(crate) fn refuse(sso: &Sso, person: Person, reason: Reason, address: Option<IpAddr>) {
    let refused = Event::new(Kind::PasswordRefused).because(reason);
    sso.audit.count(refused.of(person.user_id).session(person.session_id).from(address));
}

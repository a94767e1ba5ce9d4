//! Deleting a user: all that SSO holds of the person goes, and that the others are to be told is owed, in one commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    fresh,
    model::{Outcome, Provisioning, Truth},
    password::Password,
    session::{self, Caller},
    sso::Sso,
    store::{self, requests::Request},
    throttle::Ticket,
};

/// Deletes a user for an operator.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::RequestIdReused`].
pub(crate) async fn by_operator(
    sso: &Arc<Sso>,
    request_id: Uuid,
    user_id: Uuid,
    operator: &str,
) -> Result<Vec<Provisioning>, Error> {
    let request = sso.request(request_id, &[b"delete_user", user_id.as_bytes()]);
    delete(sso, request, user_id, Event::new(Kind::UserDeleted).by(operator)).await
}

/// Deletes the account of whoever has a session and knows the password.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::CredentialsInvalid`], [`Error::Limited`], [`Error::RequestIdReused`], overload.
pub(crate) async fn by_person(
    sso: &Arc<Sso>,
    caller: Caller,
    request_id: Uuid,
    password: Password,
) -> Result<Vec<Provisioning>, Error> {
    let (person, user_id) = (caller.person, caller.person.user_id);
    let (limits, asked_at) = (sso.sessions, sso.clock.now());
    let request = sso.request(request_id, &[b"delete_account", user_id.as_bytes(), password.bytes()]);
    let before = sso.db.read("delete_account_before", move |c| {
        // A repeat finds neither session nor password any more.
        if request.find(c)?.is_some() {
            return Ok(None);
        }
        session::require(c, person, &limits, asked_at)?;
        store::passwords::of(c, user_id)?.ok_or(Error::SessionEnded).map(Some)
    });
    let ticket = match before.await? {
        // With the user its misses are of no use: only a deletion that comes to nothing takes them back.
        Some(hash) => fresh::check(sso, caller, &password, hash).await?,
        None => Ticket::default(),
    };
    let event = Event::new(Kind::UserDeleted).because(Reason::ByOwner).from(caller.address);
    ticket.settle(sso, delete(sso, request, user_id, event).await).await
}

async fn delete(sso: &Arc<Sso>, request: Request, user_id: Uuid, event: Event) -> Result<Vec<Provisioning>, Error> {
    let (now, limits) = (sso.clock.now(), sso.sessions);
    let (debts, audit, event) = (sso.provisioner.held(user_id, now), sso.audit.clone(), event.of(user_id));
    let deleted = sso.ending("delete_user", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if request.claim(c, &outcome, now)?.is_some() {
            return Ok::<_, Error>(None);
        }
        // No session may begin between their end and the user's.
        store::users::lock(c, user_id)?;
        store::sessions::end_all(c, user_id, None, limits.ending(now))?;
        let version = store::deletion::delete(c, user_id, None, now)?.ok_or(Error::UserNotFound)?;
        debts.owe(c, now)?;
        audit.record(c, event.clone())?;
        Ok(Some((version, debts.clone())))
    });
    if let Some((version, debts)) = deleted.await?
        && sso.provisioner.settle(debts, Truth::Deleted { version }).await
    {
        return Ok(Provisioning::everywhere());
    }
    sso.db.read("provisioning", move |c| Ok(store::provisioning::of_user(c, user_id)?)).await
}

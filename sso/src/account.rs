//! What persons do with their own account.

use std::sync::Arc;

use mesh::Person;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    create,
    error::Error,
    fresh,
    model::{Notice, Outcome, Provisioning, User},
    password::Password,
    recovery,
    session::{self, Caller},
    sso::Sso,
    store::{self, requests::Request},
    throttle::Ticket,
    username::Username,
};

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

/// The caller's password, old and new.
#[derive(Clone)]
pub(crate) struct ChangePassword {
    pub(crate) request_id: Uuid,
    pub(crate) old: Password,
    pub(crate) new: Password,
}

impl ChangePassword {
    fn request(&self, sso: &Sso, user_id: Uuid) -> Request {
        sso.request(self.request_id, &[b"change_password", user_id.as_bytes(), self.old.bytes(), self.new.bytes()])
    }
}

/// Sets a new password, and has the user told. The session that asks goes on; the others end, and so does whatever a code was sent for.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::CredentialsInvalid`], [`Error::Limited`], [`Error::RequestIdReused`], INVALID_FIELDS, overload.
pub(crate) async fn change_password(sso: &Arc<Sso>, caller: Caller, ask: ChangePassword) -> Result<(), Error> {
    let (limits, now, person) = (sso.sessions, sso.clock.now(), caller.person);
    let user_id = person.user_id;
    let request = ask.request(sso, user_id);
    let before = sso.db.read("change_password_before", move |c| {
        session::require(c, person, &limits, now)?;
        let user = store::users::find(c, user_id)?.ok_or(Error::UserNotFound)?;
        let hash = store::passwords::of(c, user_id)?.flatten();
        Ok::<_, Error>((request.find(c)?, user, hash))
    });
    let (outcome, user, stored) = before.await?;
    if outcome.is_some() {
        return Ok(());
    }
    let new = recovery::unlike(ask.new.clone(), &user.username)?;
    let ticket = fresh::check(sso, caller, &ask.old, stored.clone()).await?;
    let kept = keep(sso, person, request, stored, &new, ticket.clone()).await;
    ticket.settle(sso, kept).await.inspect_err(|error| {
        if matches!(error, Error::CredentialsInvalid) {
            fresh::refuse(sso, caller, Reason::Overtaken);
        }
    })
}

async fn keep(
    sso: &Sso,
    person: Person,
    request: Request,
    old: Option<String>,
    new: &Password,
    ticket: Ticket,
) -> Result<(), Error> {
    let new = sso.hasher.hash(new).await?;
    let (limits, now) = (sso.sessions, sso.clock.now());
    let (audit, notices) = (sso.audit.clone(), Arc::clone(&sso.notices));
    let Person { user_id, session_id } = person;
    let outcome = Outcome { user_id, verification_id: None, session_id: Some(session_id) };
    let done = sso.ending("change_password", move |c| {
        if request.claim(c, &outcome, now)?.is_some() {
            return Ok(());
        }
        // Once more, now that nobody else can change it: of two changes at once one wins, and the other's old password is none.
        if store::users::lock(c, user_id)? != Some(old.clone()) {
            return Err(Error::CredentialsInvalid);
        }
        session::require(c, person, &limits, now)?;
        audit.record(c, Event::new(Kind::PasswordChanged).of(user_id).session(session_id))?;
        notices.owe(c, user_id, Notice::PasswordChanged, now)?;
        recovery::replace(c, user_id, &new, Some(session_id), limits.ending(now))?;
        ticket.right(c, now)
    });
    done.await?;
    sso.notices.stir();
    Ok(())
}

/// Gives the caller another username, with the next version, and tells the targets. What is so already stays so.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::UsernameTaken`], [`Error::RequestIdReused`].
pub(crate) async fn change_username(
    sso: &Arc<Sso>,
    caller: Caller,
    request_id: Uuid,
    username: Username,
) -> Result<(User, Vec<Provisioning>), Error> {
    let (limits, now, person) = (sso.sessions, sso.clock.now(), caller.person);
    let user_id = person.user_id;
    let request = sso.request(request_id, &[b"change_username", user_id.as_bytes(), username.as_str().as_bytes()]);
    let (debts, audit) = (sso.provisioner.held(user_id, now), sso.audit.clone());
    let changed = sso.db.write("change_username", move |c| {
        session::require(c, person, &limits, now)?;
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if request.claim(c, &outcome, now)?.is_some() || store::users::rename(c, user_id, &username, now)? == 0 {
            return Ok::<_, Error>(None);
        }
        debts.owe(c, now)?;
        audit.record(c, Event::new(Kind::UsernameChanged).of(user_id).session(person.session_id))?;
        let user = store::users::find(c, user_id)?.ok_or(Error::SessionEnded)?;
        Ok(Some((user, debts.clone())))
    });
    let changed = changed.await.inspect_err(|error| {
        if matches!(error, Error::UsernameTaken) {
            sso.audit.count(caller.event(Kind::UsernameChangeRefused).because(Reason::UsernameTaken));
        }
    });
    create::settled(sso, user_id, changed?).await
}

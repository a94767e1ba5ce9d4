//! A forgotten password: a code to an identifier that its user has verified, and a new password in place of the old one.
//! It begins as every [`challenge`] does.

use std::{net::IpAddr, sync::Arc};

use mesh::Fields;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    challenge::{self, Challenge},
    error::Error,
    model::{Notice, Outcome, Purpose},
    otp,
    password::Password,
    peers::Verdict,
    session::Ending,
    sso::Sso,
    store::{self, requests::Request},
    throttle::Ticket,
    username::Username,
};

/// A code, and the password it is to set.
pub(crate) struct Complete {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) code: String,
    pub(crate) password: Password,
}

/// Has the code checked, and sets the password if it was right. All sessions of the user end, and nobody is signed in.
///
/// A password that is refused for its likeness to the username may be given again, with the same request id and code.
///
/// # Errors
/// [`Error::VerificationNotFound`], [`Error::RequestIdReused`], [`Error::Limited`], INVALID_FIELDS, or that SMS does not answer.
pub(crate) async fn complete(
    sso: &Arc<Sso>,
    ask: Complete,
    address: Option<IpAddr>,
) -> Result<Result<(), Verdict>, Error> {
    let Complete { request_id, verification_id, code, password } = ask;
    let request =
        sso.request(request_id, &[b"complete_reset", verification_id.as_bytes(), code.as_bytes(), password.bytes()]);
    let found = challenge::find(sso, verification_id).await;
    let before = sso.db.read("reset_before", move |c| request.find(c)).await?;
    if before.is_some() {
        return Ok(Ok(()));
    }
    let reset = challenge::given(sso, found, Purpose::ResetPassword)?;
    let (user_id, ticket) = match challenge::guess(sso, request_id, &reset, &code, address).await? {
        Ok(right) => right,
        Err(verdict) => return Ok(Err(verdict)),
    };
    let set = set(sso, request, reset, user_id, password, ticket.clone()).await;
    let set = ticket.settle(sso, set).await;
    set.inspect_err(|error| challenge::tell_overtaken(sso, user_id, error))?;
    otp::acknowledge(sso, verification_id);
    Ok(Ok(()))
}

/// The password, if it is not made of the username.
///
/// # Errors
/// INVALID_FIELDS, naming `new_password`.
pub(crate) fn unlike(password: Password, username: &str) -> Result<Password, Error> {
    let Ok(name) = Username::parse(username) else { return Ok(password) };
    let mut fields = Fields::default();
    let password = fields.take("new_password", password.other_than(&name));
    Ok(fields.finish(password)?)
}

async fn set(
    sso: &Sso,
    request: Request,
    reset: Challenge,
    user_id: Uuid,
    password: Password,
    ticket: Ticket,
) -> Result<(), Error> {
    let user = sso.db.read("user", move |c| store::users::find(c, user_id)?.ok_or(Error::VerificationNotFound)).await?;
    // Not before the code was right: it would tell who has the username.
    let hash = sso.hasher.hash(&unlike(password, &user.username)?).await?;
    let (now, limits) = (sso.clock.now(), sso.sessions);
    let (key, audit, notices) = (sso.throttle_key, sso.audit.clone(), Arc::clone(&sso.notices));
    let outcome = Outcome { user_id, verification_id: Some(reset.id), session_id: None };
    let done = sso.ending("reset_password", move |c| {
        if request.claim(c, &outcome, now)?.is_some() {
            return Ok(());
        }
        challenge::end(c, &reset, user_id)?;
        notices.owe(c, user_id, Notice::PasswordReset, now)?;
        replace(c, user_id, &hash, None, limits.ending(now))?;
        audit.record(c, Event::new(Kind::PasswordReset).of(user_id))?;
        ticket.forgiving(&key, &reset.identifier).right(c, now)
    });
    done.await?;
    sso.notices.stir();
    Ok(())
}

/// A new password in place of the old one: all sessions but `spared` end, and so does whatever a code was sent for.
pub(crate) fn replace(
    c: &mut db::Conn,
    user_id: Uuid,
    hash: &str,
    spared: Option<Uuid>,
    ending: Ending,
) -> Result<(), Error> {
    store::passwords::set(c, user_id, hash, ending.at)?;
    store::sessions::end_all(c, user_id, spared, ending)?;
    store::end_codes(c, user_id)?;
    Ok(())
}

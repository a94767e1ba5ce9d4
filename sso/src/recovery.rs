//! A forgotten password: a code to an identifier that its user has verified, and a new password in place of the old one.
//!
//! Whether anybody has the identifier is nobody's business. For one that nobody has verified everything goes the same way, in the same rows, with
//! the same calls: a decoy, for which no code is ever right.

use std::sync::Arc;

use mesh::Fields;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    digest::keyed,
    error::Error,
    identifier::Identifier,
    model::{Notice, Outcome, Purpose, Verification},
    otp::{self, Pending},
    password::Password,
    peers::Verdict,
    session::Ending,
    sso::{DAY, Sso},
    store, throttle,
    username::Username,
};

/// A password that is to be replaced.
#[derive(Debug, Clone)]
pub(crate) struct Reset {
    pub(crate) id: Uuid,
    /// Whose; nobody's is a decoy.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) identifier: Identifier,
}

impl Reset {
    /// As SMS is told of it, and whether it is a decoy.
    pub(crate) fn verification(self) -> (Verification, bool) {
        let user_id = self.user_id.unwrap_or(self.id);
        let purpose = Purpose::ResetPassword;
        (Verification { id: self.id, user_id, identifier: self.identifier, purpose }, self.user_id.is_none())
    }
}

/// Whose password is forgotten.
pub(crate) struct Start {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
}

/// A code, and the password it is to set.
pub(crate) struct Complete {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) code: String,
    pub(crate) password: Password,
}

/// Opens a reset and sends its first code.
///
/// # Errors
/// [`Error::RequestIdReused`], a limit of SMS, or that SMS does not answer.
pub(crate) async fn start(sso: &Arc<Sso>, ask: Start) -> Result<Pending, Error> {
    let Start { request_id, identifier } = ask;
    let digest = keyed(&sso.digest_key, &[b"start_reset", identifier.value().as_bytes()]);
    let (id, now) = (sso.opaque_id(), sso.clock.now());
    let reset = sso.db.write("start_reset", move |c| {
        let user_id = store::users::owner(c, &identifier)?;
        let outcome = Outcome { user_id: user_id.unwrap_or(id), verification_id: Some(id), session_id: None };
        match store::requests::claim(c, request_id, &digest, &outcome, now)? {
            Some(Outcome { verification_id: Some(first), .. }) => {
                store::resets::find(c, first, now - DAY)?.ok_or(Error::VerificationNotFound)
            }
            Some(_) => Err(Error::RequestIdReused),
            None => {
                let reset = Reset { id, user_id, identifier: identifier.clone() };
                store::resets::insert(c, &reset, now)?;
                Ok(reset)
            }
        }
    });
    let (verification, decoy) = reset.await?.verification();
    let started = Event::new(Kind::ResetStarted);
    sso.audit.count(if decoy { started.because(Reason::Decoy) } else { started.of(verification.user_id) });
    otp::deliver(sso, request_id, &verification, decoy).await
}

/// A reset that has not ended.
pub(crate) async fn find(sso: &Sso, id: Uuid) -> Result<Reset, Error> {
    let since = sso.clock.now() - DAY;
    sso.db.read("reset", move |c| store::resets::find(c, id, since)?.ok_or(Error::VerificationNotFound)).await
}

/// Has the code checked, and sets the password if it was right: then `None`. All sessions of the user end, and nobody is signed in.
///
/// A password that is refused for its likeness to the username may be given again, with the same request id and code.
///
/// # Errors
/// [`Error::VerificationNotFound`], [`Error::RequestIdReused`], INVALID_FIELDS, a limit of SMS, or that SMS does not answer.
pub(crate) async fn complete(sso: &Arc<Sso>, ask: Complete) -> Result<Option<Verdict>, Error> {
    let Complete { request_id, verification_id, code, password } = ask;
    let parts: [&[u8]; 4] = [b"complete_reset", verification_id.as_bytes(), code.as_bytes(), password.bytes()];
    let digest = keyed(&sso.digest_key, &parts);
    let before = sso.db.read("reset_before", move |c| store::requests::find(c, request_id, &digest)).await?;
    if before.is_some() {
        return Ok(None);
    }
    let reset = find(sso, verification_id).await?;
    let (verification, _) = reset.clone().verification();
    let verdict = otp::check(sso, request_id, &verification, reset.user_id, &code).await?;
    let (Verdict::Approved, Some(user_id)) = (verdict, reset.user_id) else { return Ok(Some(verdict)) };
    let user = sso.db.read("user", move |c| store::users::find(c, user_id)?.ok_or(Error::VerificationNotFound)).await?;
    // Not before the code was right: it would tell who has the username.
    let password = unlike(password, &user.username)?;
    let hash = sso.hasher.hash(&password).await?;
    set(sso, request_id, digest, reset, user_id, hash).await?;
    otp::acknowledge(sso, verification_id);
    Ok(None)
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
    request_id: Uuid,
    digest: [u8; 32],
    reset: Reset,
    user_id: Uuid,
    hash: String,
) -> Result<(), Error> {
    let (now, limits) = (sso.clock.now(), sso.sessions);
    let (key, audit, notices) = (sso.throttle_key, sso.audit.clone(), Arc::clone(&sso.notices));
    let outcome = Outcome { user_id, verification_id: Some(reset.id), session_id: None };
    let done = sso.ending("reset_password", move |c| {
        if store::requests::claim(c, request_id, &digest, &outcome, now)?.is_some() {
            return Ok(());
        }
        store::users::lock(c, user_id)?.ok_or(Error::VerificationNotFound)?;
        // A password that was changed meanwhile has ended it.
        if store::resets::end(c, reset.id)? == 0 {
            return Err(Error::VerificationNotFound);
        }
        notices.owe(c, user_id, Notice::PasswordReset, now)?;
        replace(c, user_id, &hash, None, limits.ending(now))?;
        audit.record(c, Event::new(Kind::PasswordReset).of(user_id))?;
        throttle::forgive(c, &key, &reset.identifier)
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
    store::users::set_password(c, user_id, hash, ending.at)?;
    store::sessions::end_all(c, user_id, spared, ending)?;
    store::verifications::end_all(c, user_id)?;
    store::resets::end_all(c, user_id)?;
    Ok(())
}

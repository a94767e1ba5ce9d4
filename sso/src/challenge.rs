//! What a code to a verified identifier is asked for by somebody who is not signed in: a new password, or a sign-in without one. And what a code to
//! another identifier is asked for by somebody who is, in the same rows ([`crate::identifiers`]).
//!
//! Whether anybody has the identifier is nobody's business. For one that nobody has verified, or whose user is locked, everything goes the same way,
//! in the same rows, with the same calls: a decoy, for which no code is ever right. The id is drawn, and told to whoever asked alone: a code
//! that somebody else reads is worth nothing without it.

use std::{net::IpAddr, sync::Arc};

use db::Conn;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    identifier::Identifier,
    model::{Outcome, Purpose, Verification},
    otp::{self, Pending},
    peers::Verdict,
    sso::{DAY, Sso},
    store,
    throttle::{self, Ticket, Who},
};

/// A code that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) id: Uuid,
    /// Whose; nobody's is a decoy.
    pub(crate) user_id: Option<Uuid>,
    /// Whose it was before it ended: a decoy from then on, which SMS goes on knowing by that user.
    pub(crate) former_user_id: Option<Uuid>,
    pub(crate) identifier: Identifier,
    pub(crate) purpose: Purpose,
}

impl Challenge {
    /// One that begins: `user_id`'s, or a decoy.
    pub(crate) fn begin(id: Uuid, user_id: Option<Uuid>, identifier: Identifier, purpose: Purpose) -> Self {
        Self { id, user_id, former_user_id: None, identifier, purpose }
    }

    /// Whose it is, or was.
    pub(crate) fn begun_for(&self) -> Option<Uuid> {
        self.user_id.or(self.former_user_id)
    }

    /// As SMS is told of it, and whether it is a decoy.
    pub(crate) fn verification(self) -> (Verification, bool) {
        let (user_id, decoy) = (self.begun_for().unwrap_or(self.id), self.user_id.is_none());
        let Self { id, identifier, purpose, .. } = self;
        (Verification { id, user_id, identifier, purpose }, decoy)
    }
}

/// Who asks, by what.
pub(crate) struct Start {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
}

/// Opens a challenge and sends its first code, or a notice in its place. What is asked for from one network is bounded before anything is known of the
/// identifier.
///
/// # Errors
/// [`Error::Limited`], [`Error::RequestIdReused`], or that SMS does not answer.
pub(crate) async fn start(
    sso: &Arc<Sso>,
    purpose: Purpose,
    ask: Start,
    address: Option<IpAddr>,
) -> Result<Pending, Error> {
    let Start { request_id, identifier } = ask;
    throttle::take(sso, &Who::Code(identifier.clone(), refusal(purpose)), address).await?;
    let (label, kind): (&[u8], _) = match purpose {
        Purpose::SignIn => (b"start_code_sign_in", Kind::CodeSignInStarted),
        Purpose::ResetPassword | Purpose::VerifyIdentifier | Purpose::ChangeIdentifier => {
            (b"start_reset", Kind::ResetStarted)
        }
    };
    let request = sso.request(request_id, &[label, identifier.value().as_bytes()]);
    let (id, now) = (sso.opaque_id(), sso.clock.now());
    let challenge = sso.db.write("start_challenge", move |c| {
        let user_id = store::users::unlocked_owner(c, &identifier)?;
        let outcome = Outcome { user_id: user_id.unwrap_or(id), verification_id: Some(id), session_id: None };
        match request.claim(c, &outcome, now)? {
            Some(Outcome { verification_id: Some(first), .. }) => {
                store::challenges::find(c, first, now - DAY)?.ok_or(Error::VerificationNotFound)
            }
            Some(_) => Err(Error::RequestIdReused),
            None => {
                let challenge = Challenge::begin(id, user_id, identifier.clone(), purpose);
                store::challenges::insert(c, &challenge, now)?;
                Ok(challenge)
            }
        }
    });
    let (verification, decoy) = challenge.await?.verification();
    let started = Event::new(kind);
    sso.audit.count(if decoy { started.because(Reason::Decoy) } else { started.of(verification.user_id) });
    otp::deliver(sso, request_id, &verification, decoy).await
}

/// A challenge that has not ended. Those that sign in end when signing in by a code is switched off.
///
/// # Errors
/// [`Error::VerificationNotFound`].
pub(crate) async fn find(sso: &Sso, id: Uuid) -> Result<Challenge, Error> {
    let (since, may_sign_in) = (sso.clock.now() - DAY, sso.code_sign_in);
    let found = sso.db.read("challenge", move |c| Ok::<_, Error>(store::challenges::find(c, id, since)?)).await?;
    found.filter(|one| may_sign_in || one.purpose != Purpose::SignIn).ok_or(Error::VerificationNotFound)
}

/// The challenge that was found for a code, if it is for `purpose`. Find it before the request: another call with the same request id may be faster, and what
/// ends the challenge says what the request came to.
///
/// # Errors
/// [`Error::VerificationNotFound`], which is counted as a refusal.
pub(crate) fn given(sso: &Sso, found: Result<Challenge, Error>, purpose: Purpose) -> Result<Challenge, Error> {
    match found {
        Ok(challenge) if challenge.purpose == purpose => Ok(challenge),
        Ok(_) | Err(Error::VerificationNotFound) => Err(otp::unknown(sso, Kind::CodeRefused)),
        Err(error) => Err(error),
    }
}

/// What is recorded when the network had too much of it.
fn refusal(purpose: Purpose) -> Kind {
    match purpose {
        Purpose::ResetPassword => Kind::ResetRefused,
        Purpose::SignIn => Kind::SignInRefused,
        Purpose::VerifyIdentifier | Purpose::ChangeIdentifier => Kind::CodeRefused,
    }
}

async fn check(sso: &Sso, request_id: Uuid, challenge: &Challenge, code: &str) -> Result<Result<Uuid, Verdict>, Error> {
    let (verification, _) = challenge.clone().verification();
    let verdict = otp::check(sso, request_id, &verification, challenge.user_id, code).await?;
    match (verdict, challenge.user_id) {
        (Verdict::Approved, Some(user_id)) => Ok(Ok(user_id)),
        // The code of one that ended. Whoever reads it learns no more than that, and nobody else anything.
        (Verdict::Approved, None) => {
            let overtaken = Event::new(Kind::CodeRefused).because(Reason::Overtaken);
            sso.audit.count(overtaken.of(challenge.former_user_id));
            Err(Error::VerificationNotFound)
        }
        (verdict, _) => Ok(Err(verdict)),
    }
}

/// Has a code checked, which is counted with the caller's network before it is compared. The right one, never a decoy's, comes with that count, which the caller
/// takes back, and with whose it was.
///
/// # Errors
/// [`Error::Limited`], also by SMS, or that SMS does not answer.
pub(crate) async fn guess(
    sso: &Sso,
    request_id: Uuid,
    challenge: &Challenge,
    code: &str,
    address: Option<IpAddr>,
) -> Result<Result<(Uuid, Ticket), Verdict>, Error> {
    let who = Who::Code(challenge.identifier.clone(), refusal(challenge.purpose));
    let ticket = throttle::take(sso, &who, address).await?;
    let checked = ticket.settle(sso, check(sso, request_id, challenge, code).await).await?;
    Ok(checked.map(|user_id| (user_id, ticket)))
}

/// Ends a challenge whose code was right, in the commit that makes it so: once, and only if the user is still the one whom a code to the identifier lets in.
/// Until the end of the commit nobody else changes or locks the user.
///
/// # Errors
/// [`Error::VerificationNotFound`] if it was ended meanwhile, by a password that was changed or by a lock, or if the identifier is another's by now.
pub(crate) fn end(c: &mut Conn, challenge: &Challenge, user_id: Uuid) -> Result<(), Error> {
    store::users::lock(c, user_id)?.ok_or(Error::VerificationNotFound)?;
    let is_theirs = store::users::unlocked_owner(c, &challenge.identifier)? == Some(user_id);
    if is_theirs && store::challenges::end(c, challenge.id, user_id)? > 0 {
        return Ok(());
    }
    Err(Error::VerificationNotFound)
}

/// Counts a right code that came to nothing, because something was faster.
pub(crate) fn tell_overtaken(sso: &Sso, user_id: Uuid, error: &Error) {
    if matches!(error, Error::VerificationNotFound) {
        sso.audit.count(Event::new(Kind::CodeRefused).because(Reason::Overtaken).of(user_id));
    }
}

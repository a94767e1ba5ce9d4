//! A code is given back: the right one verifies the user and signs them in.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    create,
    error::Error,
    model::{Outcome, User, Verification},
    origin::Origin,
    otp,
    peers::Verdict,
    session::{self, Session, Tokens},
    sso::{DAY, Sso},
    store::{self, requests::Request},
    throttle::{self, Ticket, Who},
};

/// A code to be checked, and where it comes from.
pub(crate) struct Guess {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) code: String,
    pub(crate) origin: Origin,
}

/// Has a code checked. The right one verifies the user and opens a session; a repeat of the request gets tokens of that session again.
///
/// # Errors
/// [`Error::VerificationNotFound`], [`Error::RequestIdReused`], [`Error::Limited`], also by SMS, or that SMS does not answer;
/// [`Error::SessionEnded`] on a repeat after the session has.
pub(crate) async fn verify(sso: &Arc<Sso>, guess: Guess) -> Result<Result<(User, Tokens), Verdict>, Error> {
    let Guess { request_id, verification_id, code, origin } = guess;
    let label = origin.device_label.as_bytes();
    let request = sso.request(request_id, &[b"verify", verification_id.as_bytes(), code.as_bytes(), label]);
    // First: another call with this request id may be faster, and what ends the verification says what the request came to.
    let found = otp::find(sso, verification_id).await;
    if let Some(outcome) = sso.db.read("verify_before", move |c| request.find(c)).await? {
        return signed_in(sso, outcome).await.map(Ok);
    }
    let (verification, _) = match found {
        Err(Error::VerificationNotFound) => return Err(otp::unknown(sso, Kind::CodeRefused)),
        found => found?,
    };
    let who = Who::Code(verification.identifier.clone(), Kind::CodeRefused);
    let ticket = throttle::take(sso, &who, origin.address).await?;
    let checked = otp::check(sso, request_id, &verification, Some(verification.user_id), &code).await;
    match ticket.settle(sso, checked).await? {
        Verdict::Approved => {
            let approved = approve(sso, request, &verification, &origin, ticket.clone()).await;
            let outcome = ticket.settle(sso, approved).await?;
            otp::acknowledge(sso, verification_id);
            signed_in(sso, outcome).await.map(Ok)
        }
        verdict => Ok(Err(verdict)),
    }
}

/// Makes the approval so: the identifier is the user's, the user is verified, and nobody else's claim can come to anything.
async fn approve(
    sso: &Sso,
    request: Request,
    verification: &Verification,
    origin: &Origin,
    ticket: Ticket,
) -> Result<Outcome, Error> {
    let (now, verification, limits) = (sso.clock.now(), verification.clone(), sso.sessions);
    let session = Session::begin(sso.id(), verification.user_id, origin, now);
    let outcome = Outcome { user_id: verification.user_id, verification_id: None, session_id: Some(session.id) };
    let (key, audit, user_id, address) = (sso.throttle_key, sso.audit.clone(), verification.user_id, origin.address);
    let accepted = Event::new(Kind::CodeAccepted).of(user_id).session(session.id).from(address);
    let made = sso.db.write("verify_user", move |c| {
        if let Some(first) = request.claim(c, &outcome, now)? {
            return Ok(first);
        }
        // It may have been ended while the code was on its way: by a change of the password.
        store::verifications::find(c, verification.id, now - DAY)?.ok_or(Error::VerificationNotFound)?;
        store::users::verify(c, verification.user_id, &verification.identifier, now)?;
        create::note_rivals(c, &audit, verification.user_id, &verification.identifier)?;
        session::open(c, &session, &limits, &audit)?;
        audit.record(c, accepted.clone())?;
        ticket.forgiving(&key, &verification.identifier).right(c, now)?;
        Ok(outcome.clone())
    });
    match made.await {
        // Somebody else was faster to prove it, so this verification is over.
        Err(Error::IdentifierTaken | Error::CredentialsInvalid | Error::VerificationNotFound) => {
            sso.audit.count(Event::new(Kind::CodeRefused).because(Reason::Overtaken).of(user_id).from(address));
            Err(Error::VerificationNotFound)
        }
        made => made,
    }
}

async fn signed_in(sso: &Sso, outcome: Outcome) -> Result<(User, Tokens), Error> {
    let Outcome { user_id, session_id, .. } = outcome;
    let session_id = session_id.ok_or(Error::RequestIdReused)?;
    let (limits, now) = (sso.sessions, sso.clock.now());
    let (user, session) = sso
        .db
        .read("signed_in", move |c| {
            // A user who was deleted since has no session either, and that is what is told.
            let session = session::alive(c, session_id, &limits, now)?;
            Ok::<_, Error>((store::users::find(c, user_id)?.ok_or(Error::SessionEnded)?, session))
        })
        .await?;
    Ok((user, session::tokens(sso, &session)))
}

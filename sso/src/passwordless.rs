//! A sign-in without a password: a code to an identifier that its user has verified opens a session. Off unless the settings say otherwise.

use std::{net::IpAddr, sync::Arc};

use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    challenge::{self, Challenge, Start},
    error::Error,
    model::{Outcome, Purpose},
    origin::Origin,
    otp::{self, Pending},
    peers::Verdict,
    session::{self, Session, Tokens},
    sso::Sso,
    store::requests::Request,
    throttle::Ticket,
    verify::Guess,
};

/// Sends a code that signs in.
///
/// # Errors
/// [`Error::CodeSignInOff`], and those of [`challenge::start`].
pub(crate) async fn start(sso: &Arc<Sso>, ask: Start, address: Option<IpAddr>) -> Result<Pending, Error> {
    require_on(sso, address)?;
    challenge::start(sso, Purpose::SignIn, ask, address).await
}

/// Has a code checked, and opens a session if it was right; a repeat of the request gets tokens of that session again.
///
/// # Errors
/// [`Error::CodeSignInOff`], [`Error::VerificationNotFound`], [`Error::RequestIdReused`], [`Error::Limited`], or that SMS does not answer;
/// [`Error::SessionEnded`] on a repeat after the session has.
pub(crate) async fn complete(sso: &Arc<Sso>, guess: Guess) -> Result<Result<Tokens, Verdict>, Error> {
    let Guess { request_id, verification_id, code, origin } = guess;
    require_on(sso, origin.address)?;
    let label = origin.device_label.as_bytes();
    let request =
        sso.request(request_id, &[b"complete_code_sign_in", verification_id.as_bytes(), code.as_bytes(), label]);
    let found = challenge::find(sso, verification_id).await;
    let before = sso.db.read("code_sign_in_before", move |c| request.find(c)).await?;
    if let Some(outcome) = before {
        return tokens(sso, outcome).await.map(Ok);
    }
    let challenge = challenge::given(sso, found, Purpose::SignIn)?;
    let (user_id, ticket) = match challenge::guess(sso, request_id, &challenge, &code, origin.address).await? {
        Ok(right) => right,
        Err(verdict) => return Ok(Err(verdict)),
    };
    let begun = begin(sso, request, &challenge, user_id, &origin, ticket.clone()).await;
    let begun = ticket.settle(sso, begun).await;
    let outcome = begun.inspect_err(|error| challenge::tell_overtaken(sso, user_id, error))?;
    otp::acknowledge(sso, verification_id);
    tokens(sso, outcome).await.map(Ok)
}

fn require_on(sso: &Sso, address: Option<IpAddr>) -> Result<(), Error> {
    if sso.code_sign_in {
        return Ok(());
    }
    sso.audit.count(Event::new(Kind::SignInRefused).because(Reason::SwitchedOff).from(address));
    Err(Error::CodeSignInOff)
}

/// Opens the session, and ends the challenge with it.
async fn begin(
    sso: &Sso,
    request: Request,
    challenge: &Challenge,
    user_id: Uuid,
    origin: &Origin,
    ticket: Ticket,
) -> Result<Outcome, Error> {
    let (now, limits, challenge) = (sso.clock.now(), sso.sessions, challenge.clone());
    let session = Session::begin(sso.id(), user_id, origin, now);
    let outcome = Outcome { user_id, verification_id: None, session_id: Some(session.id) };
    let (key, audit) = (sso.throttle_key, sso.audit.clone());
    let signed_in =
        Event::new(Kind::SignedIn).because(Reason::ByCode).of(user_id).session(session.id).from(origin.address);
    sso.db
        .write("sign_in_by_code", move |c| {
            if let Some(first) = request.claim(c, &outcome, now)? {
                return Ok(first);
            }
            challenge::end(c, &challenge, user_id)?;
            session::open(c, &session, &limits, &audit)?;
            audit.record(c, signed_in.clone())?;
            ticket.forgiving(&key, &challenge.identifier).right(c, now)?;
            Ok(outcome.clone())
        })
        .await
}

/// Tokens of the session that a sign-in began, now or when its request id first came.
async fn tokens(sso: &Sso, outcome: Outcome) -> Result<Tokens, Error> {
    let session_id = outcome.session_id.ok_or(Error::RequestIdReused)?;
    let (limits, now) = (sso.sessions, sso.clock.now());
    let session = sso.db.read("signed_in", move |c| session::alive(c, session_id, &limits, now)).await?;
    Ok(session::tokens(sso, &session))
}

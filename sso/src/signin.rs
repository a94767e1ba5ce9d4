//! Flow 3: a person signs in. Tokens if verified; otherwise a verification, and no message.

use std::{sync::Arc, time::SystemTime};

use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    identifier::Identifier,
    model::Outcome,
    origin::Origin,
    otp::Pending,
    password::Password,
    session::{self, Session, Tokens},
    sso::Sso,
    store::{self, requests::Request},
    throttle::{self, Ticket, Who},
};

/// Who wants to sign in.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) password: Password,
    pub(crate) origin: Origin,
}

/// What came of a sign-in.
pub(crate) enum SignedIn {
    Tokens(Tokens),
    Unverified(Pending),
}

/// Hashes that a sign-in takes at most: the owner's, and a claimant's.
const HASHES: usize = 2;

/// Signs a person in. An unknown identifier takes the road, and the time, of a wrong password; whoever claims somebody's identifier that of whoever claims nobody's.
///
/// # Errors
/// [`Error::CredentialsInvalid`], [`Error::Limited`], [`Error::RequestIdReused`], overload; [`Error::SessionEnded`] on a repeat after the session has.
pub(crate) async fn sign_in(sso: &Arc<Sso>, ask: SignIn) -> Result<SignedIn, Error> {
    // What there is no time for is refused before it costs anything.
    sso.hasher.admit(HASHES)?;
    let identifier = ask.identifier.clone();
    // Before anything is known of the identifier, and counted before it is compared.
    let ticket = throttle::take(sso, &Who::Identifier(identifier), ask.origin.address).await?;
    let checked = ticket.settle(sso, check(sso, &ask).await).await?;
    let refuse = |reason, user_id: Option<Uuid>| {
        sso.audit.count(Event::new(Kind::SignInRefused).because(reason).of(user_id).from(ask.origin.address));
    };
    let (user_id, hash) = checked.map_err(|(reason, user_id)| {
        refuse(reason, user_id);
        Error::CredentialsInvalid
    })?;
    let begun = commit(sso, &ask, user_id, hash.clone(), ticket.clone()).await;
    let begun = ticket.settle(sso, begun).await.inspect_err(|error| {
        if matches!(error, Error::CredentialsInvalid) {
            refuse(Reason::Overtaken, Some(user_id));
        }
    })?;
    if matches!(begun, Begun::Verification(_)) {
        refuse(Reason::Unverified, Some(user_id));
    }
    if sso.hasher.is_outdated(&hash) {
        rehash(sso, user_id, hash, ask.password.clone());
    }
    Ok(match begun {
        Begun::Session(session) => SignedIn::Tokens(session::tokens(sso, &session)),
        Begun::Verification(id) => SignedIn::Unverified(Pending::unsent(sso, id, &ask.identifier)),
    })
}

/// The user who has this identifier, or claims it, with this password, and the hash that it was compared with; or why there is none, which nobody but operators is
/// told. Nobody's takes as long as somebody's. A claimant's is compared beside an owner as without one, and opens nothing but a verification.
async fn check(sso: &Arc<Sso>, ask: &SignIn) -> Result<Result<(Uuid, String), (Reason, Option<Uuid>)>, Error> {
    let identifier = ask.identifier.clone();
    let found = sso.db.read("sign_in", move |c| Ok::<_, Error>(store::users::by_identifier(c, &identifier)?)).await?;
    let stored: [_; HASHES] = found.each_ref().map(|one| one.as_ref().and_then(|one| one.password_hash.clone()));
    let right = sso.hasher.first_right(&ask.password, stored).await?;
    let Some(right) = right else {
        return Ok(Err(match found.into_iter().flatten().next() {
            None => (Reason::IdentifierUnknown, None),
            Some(one) if one.is_locked => (Reason::Locked, Some(one.user_id)),
            Some(one) => (Reason::PasswordWrong, Some(one.user_id)),
        }));
    };
    let one = found.into_iter().nth(right).flatten().ok_or(Error::CredentialsInvalid)?;
    Ok(Ok((one.user_id, one.password_hash.ok_or(Error::CredentialsInvalid)?)))
}

/// What the commit of a sign-in opened.
enum Begun {
    Session(Session),
    Verification(Uuid),
}

/// Opens a session, or a verification for a user who is not verified.
async fn commit(sso: &Sso, ask: &SignIn, user_id: Uuid, hash: String, ticket: Ticket) -> Result<Begun, Error> {
    let request = ask.request(sso);
    let (identifier, now, limits) = (ask.identifier.clone(), sso.clock.now(), sso.sessions);
    let session = Session::begin(sso.id(), user_id, &ask.origin, now);
    let verification_id = sso.opaque_id();
    let (audit, address) = (sso.audit.clone(), ask.origin.address);
    sso.db
        .write("sign_in", move |c| {
            // Once more, now that nobody else can change it: the password may have been changed since it was found right.
            if store::users::lock(c, user_id)? != Some(Some(hash.clone())) {
                return Err(Error::CredentialsInvalid);
            }
            let user = store::users::find(c, user_id)?.ok_or(Error::CredentialsInvalid)?;
            let claim = user.identifiers.iter().find(|claim| claim.identifier == identifier);
            let claim = claim.ok_or(Error::CredentialsInvalid)?;
            let is_verified = user.is_verified && claim.is_verified;
            let outcome = Outcome {
                user_id,
                verification_id: (!is_verified).then_some(verification_id),
                session_id: is_verified.then_some(session.id),
            };
            let first = request.claim(c, &outcome, now)?;
            if first.is_none() && is_verified {
                session::open(c, &session, &limits, &audit)?;
                audit.record(c, Event::new(Kind::SignedIn).of(user_id).session(session.id).from(address))?;
            } else if first.is_none() {
                store::verifications::insert(c, verification_id, user_id, claim.id, now)?;
            }
            let begun = first.unwrap_or(outcome).begun(c, &limits, now)?;
            match &begun {
                Begun::Session(_) => ticket.right(c, now)?,
                // Whoever claims the identifier may be guessing its owner's password in between.
                Begun::Verification(_) => ticket.give_back(c)?,
            }
            Ok(begun)
        })
        .await
}

impl Outcome {
    /// What a sign-in came to, now or when its request id first came.
    fn begun(&self, c: &mut db::Conn, limits: &session::Limits, now: SystemTime) -> Result<Begun, Error> {
        match (self.session_id, self.verification_id) {
            (Some(id), _) => session::alive(c, id, limits, now).map(Begun::Session),
            (None, Some(id)) => Ok(Begun::Verification(id)),
            (None, None) => Err(Error::RequestIdReused),
        }
    }
}

/// Hashes the password at today's cost, in a task of its own: it only helps the next sign-in.
fn rehash(sso: &Arc<Sso>, user_id: Uuid, old: String, password: Password) {
    let sso = Arc::clone(sso);
    tokio::spawn(mesh::trace::inherit(async move {
        let Ok(fresh) = sso.hasher.hash(&password).await else { return };
        let kept =
            sso.db.write("rehash", move |c| Ok::<_, Error>(store::passwords::rehash(c, user_id, &old, &fresh)?)).await;
        if let Err(error) = kept {
            tracing::info!(%error, "a password keeps its old hash");
        }
    }));
}

impl SignIn {
    fn request(&self, sso: &Sso) -> Request {
        let (identifier, label) = (self.identifier.value().as_bytes(), self.origin.device_label.as_bytes());
        sso.request(self.request_id, &[b"sign_in", identifier, self.password.bytes(), label])
    }
}

//! Codes, as far as SSO knows them: it asks SMS to send and to check, and never sees one but on its way through.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use tonic::Status;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    challenge,
    error::Error,
    identifier::Identifier,
    model::{Purpose, Verification},
    peers::{self, Sent, Verdict},
    sso::{DAY, Sso},
    store,
    throttle::{self, Who},
};

/// Guesses of a verification that has had no send yet.
const GUESSES: i32 = 5;

/// A verification and what became of its last send.
pub(crate) struct Pending {
    pub(crate) id: Uuid,
    pub(crate) masked_destination: String,
    /// `None`: nothing was sent.
    pub(crate) sent: Option<Sent>,
    pub(crate) resend_after: SystemTime,
    pub(crate) guesses_left: i32,
}

impl Pending {
    /// A verification without a send: one may be asked for at once.
    pub(crate) fn unsent(sso: &Sso, id: Uuid, identifier: &Identifier) -> Self {
        let masked_destination = identifier.masked();
        Self { id, masked_destination, sent: None, resend_after: sso.clock.now(), guesses_left: GUESSES }
    }

    fn after(sso: &Sso, verification: &Verification, sent: Sent) -> Self {
        Self {
            id: verification.id,
            masked_destination: verification.identifier.masked(),
            resend_after: sent.resend_after.unwrap_or_else(|| sso.clock.now()),
            guesses_left: sent.guesses_left,
            sent: Some(sent),
        }
    }
}

/// The first code of a sign-up. If SMS cannot send it now, the verification stays as it is, and SendOtp works later.
pub(crate) async fn first(sso: &Sso, request_id: Uuid, verification: &Verification, decoy: bool) -> Pending {
    let answer = sso.peers.send_otp(request_id, verification, decoy).await;
    tell(sso, verification, decoy, answer.as_ref().err());
    match answer {
        Ok(sent) => Pending::after(sso, verification, sent),
        Err(status) => {
            tracing::warn!(code = ?status.code(), reason = mesh::failure::reason(&status), "no code went out at sign-up");
            Pending::unsent(sso, verification.id, &verification.identifier)
        }
    }
}

/// The same for a sign-up that was made before: SMS finds what it did.
///
/// # Errors
/// Of the database alone.
pub(crate) async fn repeat(sso: &Sso, request_id: Uuid, verification_id: Uuid) -> Result<Pending, Error> {
    match find(sso, verification_id).await {
        Ok((verification, owner)) => {
            let decoy = owner.is_some_and(|id| id != verification.user_id);
            Ok(first(sso, request_id, &verification, decoy).await)
        }
        // It came to its end meanwhile.
        Err(Error::VerificationNotFound) => Ok(ended(sso, verification_id)),
        Err(error) => Err(error),
    }
}

fn ended(sso: &Sso, id: Uuid) -> Pending {
    Pending { id, masked_destination: String::new(), sent: None, resend_after: sso.clock.now(), guesses_left: 0 }
}

/// Sends a code: the first of the verification, or another in its place. Each that is asked for counts with the caller's network.
///
/// # Errors
/// [`Error::VerificationNotFound`], [`Error::Limited`], also by SMS, or that SMS does not answer.
pub(crate) async fn send(
    sso: &Arc<Sso>,
    request_id: Uuid,
    verification_id: Uuid,
    address: Option<IpAddr>,
) -> Result<Pending, Error> {
    let (verification, decoy) = match find(sso, verification_id).await {
        Ok((verification, owner)) if owner == Some(verification.user_id) => return Err(Error::VerificationNotFound),
        Ok((verification, owner)) => (verification, owner.is_some()),
        Err(Error::VerificationNotFound) => match challenge::find(sso, verification_id).await {
            Err(Error::VerificationNotFound) => return Err(unknown(sso, Kind::CodeNotSent)),
            found => found?.verification(),
        },
        Err(error) => return Err(error),
    };
    throttle::take(sso, &Who::Code(verification.identifier.clone(), Kind::CodeNotSent), address).await?;
    deliver(sso, request_id, &verification, decoy).await
}

/// Has SMS send a code: the first of the verification, or another in its place.
///
/// # Errors
/// [`Error::VerificationNotFound`], a limit of SMS, or that SMS does not answer.
pub(crate) async fn deliver(
    sso: &Arc<Sso>,
    request_id: Uuid,
    verification: &Verification,
    decoy: bool,
) -> Result<Pending, Error> {
    let sent = match sso.peers.send_otp(request_id, verification, decoy).await {
        Err(status) if peers::is_open(&status) => {
            sso.peers.resend_otp(resend_id(sso, request_id), verification.id, decoy).await
        }
        sent => sent,
    };
    tell(sso, verification, decoy, sent.as_ref().err());
    sent.map(|sent| Pending::after(sso, verification, sent)).map_err(|status: Status| peers::refused(&status))
}

/// Counts what came of a send.
fn tell(sso: &Sso, verification: &Verification, decoy: bool, refusal: Option<&Status>) {
    // That of a challenge is nobody's, and has no user.
    let user_id = (!decoy || verification.purpose == Purpose::VerifyIdentifier).then_some(verification.user_id);
    let event = match refusal {
        None if decoy => Event::new(Kind::CodeSent).because(Reason::Decoy),
        None => Event::new(Kind::CodeSent),
        Some(status) => Event::new(Kind::CodeNotSent).because(not_done(&peers::refused(status))),
    };
    sso.audit.count(event.of(user_id));
}

/// Why SMS did not do what it was asked for.
fn not_done(error: &Error) -> Reason {
    match error {
        Error::Limited { .. } => Reason::Limited,
        Error::VerificationNotFound => Reason::VerificationUnknown,
        _ => Reason::Unanswered,
    }
}

/// Counts a call for a verification that is not there.
pub(crate) fn unknown(sso: &Sso, kind: Kind) -> Error {
    sso.audit.count(Event::new(kind).because(Reason::VerificationUnknown));
    Error::VerificationNotFound
}

/// Counts a code that was not accepted.
fn tell_refused(sso: &Sso, verdict: Verdict, user_id: Option<Uuid>) {
    let reason = match verdict {
        Verdict::WrongCode { .. } => Reason::CodeWrong,
        Verdict::Expired { .. } => Reason::CodeExpired,
        Verdict::Exhausted => Reason::GuessesExhausted,
        Verdict::Used | Verdict::Approved => Reason::CodeUsed,
    };
    sso.audit.count(Event::new(Kind::CodeRefused).because(reason).of(user_id));
}

/// Has SMS check a code, and counts it if SMS does not.
pub(crate) async fn check(
    sso: &Sso,
    request_id: Uuid,
    verification: &Verification,
    user_id: Option<Uuid>,
    code: &str,
) -> Result<Verdict, Error> {
    let checked = sso.peers.verify_otp(request_id, verification, code).await;
    match &checked {
        Ok(Verdict::Approved) => {}
        Ok(verdict) => tell_refused(sso, *verdict, user_id),
        Err(error) => sso.audit.count(Event::new(Kind::CodeRefused).because(not_done(error)).of(user_id)),
    }
    checked
}

/// SMS holds one id to one request, and this is another: a repeat finds the verification open again, and then the resend under this id.
fn resend_id(sso: &Sso, request_id: Uuid) -> Uuid {
    let digest = crate::digest::keyed(&sso.digest_key, &[b"resend", request_id.as_bytes()]);
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

/// Tells SMS in a task of its own: nobody waits for it, and if it is lost SMS forgets at the end of the day.
pub(crate) fn acknowledge(sso: &Arc<Sso>, verification_id: Uuid) {
    let sso = Arc::clone(sso);
    tokio::spawn(mesh::trace::inherit(async move {
        if let Err(status) = sso.peers.acknowledge_otp(verification_id).await {
            tracing::info!(code = ?status.code(), "an approval could not be acknowledged");
        }
    }));
}

/// A verification that has not ended, and who has its identifier verified.
pub(crate) async fn find(sso: &Sso, id: Uuid) -> Result<(Verification, Option<Uuid>), Error> {
    let since = sso.clock.now() - DAY;
    sso.db
        .read("verification", move |c| {
            let verification = store::verifications::find(c, id, since)?.ok_or(Error::VerificationNotFound)?;
            let owner = store::users::owner(c, &verification.identifier)?;
            Ok((verification, owner))
        })
        .await
}

//! What a person signs in with, changed by the person: an e-mail address, a phone number, or both. A new one is proven by a code before it takes the place
//! of the old one of its kind, or stands beside the other; every identifier that was verified before is told.
//!
//! Whether somebody else has it is nobody's business: then everything goes the same way, a decoy, for which no code is ever right.

use std::sync::Arc;

use mesh::{Failure, Person};
use uuid::Uuid;

use crate::{
    account,
    audit::{Event, Kind, Reason},
    challenge::{self, Challenge},
    create,
    error::Error,
    fresh,
    identifier::Identifier,
    model::{Notice, Outcome, Purpose, User},
    otp::{self, Pending},
    password::Password,
    peers::Verdict,
    session::{self, Caller},
    sso::{DAY, Sso},
    store::{self, requests::Request},
    throttle::{self, Ticket, Who},
};

/// An identifier, and whatever proves that it is the person who asks.
pub(crate) struct Ask {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) password: Option<Password>,
}

/// A code, and what it was sent for.
pub(crate) struct Confirm {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) code: String,
}

/// Opens the change and sends its first code, or a notice to whoever has the identifier.
///
/// # Errors
/// Those of [`fresh::prove`]; INVALID_FIELDS if it is the caller's already; [`Error::RequestIdReused`], [`Error::Limited`], also by SMS, or that SMS does
/// not answer.
pub(crate) async fn start(sso: &Arc<Sso>, caller: Caller, ask: Ask) -> Result<Pending, Error> {
    let ticket = fresh::prove(sso, caller, ask.password.as_ref()).await?;
    let Ask { request_id, identifier, .. } = ask;
    // With one account there are messages to as many addresses as one can name.
    let asked = throttle::take(sso, &Who::Code(identifier.clone(), Kind::CodeNotSent), caller.address).await;
    ticket.settle(sso, asked).await?;
    let user_id = caller.person.user_id;
    let request =
        sso.request(request_id, &[b"start_identifier_change", user_id.as_bytes(), identifier.value().as_bytes()]);
    let (id, now) = (sso.opaque_id(), sso.clock.now());
    let proven = ticket.clone();
    let opened = sso.db.write("start_identifier_change", move |c| {
        let owner = store::users::owner(c, &identifier)?;
        let outcome = Outcome { user_id, verification_id: Some(id), session_id: None };
        let challenge = match request.claim(c, &outcome, now)? {
            Some(Outcome { verification_id: Some(first), .. }) => {
                store::challenges::find(c, first, now - DAY)?.ok_or(Error::VerificationNotFound)?
            }
            Some(_) => return Err(Error::RequestIdReused),
            None if owner == Some(user_id) => return Err(theirs_already(&identifier)),
            None => {
                // Whether it is theirs by then or not: no row is left of a user who was deleted since the session was looked at.
                store::users::lock(c, user_id)?.ok_or(Error::SessionEnded)?;
                let (user_id, purpose) = (owner.is_none().then_some(user_id), Purpose::ChangeIdentifier);
                let challenge = Challenge::begin(id, user_id, identifier.clone(), purpose);
                store::challenges::insert(c, &challenge, now)?;
                challenge
            }
        };
        proven.right(c, now)?;
        Ok(challenge)
    });
    let (verification, decoy) = ticket.settle(sso, opened.await).await?.verification();
    let reason = if decoy { Reason::Decoy } else { Reason::Unspecified };
    sso.audit.count(caller.event(Kind::IdentifierChangeStarted).because(reason));
    otp::deliver(sso, request_id, &verification, decoy).await
}

fn theirs_already(identifier: &Identifier) -> Error {
    let field = match identifier {
        Identifier::Email(_) => "email",
        Identifier::Phone(_) => "phone_number",
    };
    Failure::invalid_field(field, "is yours already").into()
}

/// Has the code checked, and makes the identifier the caller's if it was right.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::VerificationNotFound`], [`Error::RequestIdReused`], [`Error::Limited`], also by SMS, or that SMS does not answer.
pub(crate) async fn confirm(sso: &Arc<Sso>, caller: Caller, ask: Confirm) -> Result<Result<User, Verdict>, Error> {
    let Confirm { request_id, verification_id, code } = ask;
    let (person, user_id) = (caller.person, caller.person.user_id);
    let request = sso.request(
        request_id,
        &[b"confirm_identifier_change", user_id.as_bytes(), verification_id.as_bytes(), code.as_bytes()],
    );
    let (limits, now) = (sso.sessions, sso.clock.now());
    let found = challenge::find(sso, verification_id).await;
    let before = sso.db.read("confirm_identifier_change_before", move |c| {
        session::require(c, person, &limits, now)?;
        request.find(c)
    });
    if before.await?.is_none() {
        let change = challenge::given(sso, found, Purpose::ChangeIdentifier)?;
        if change.begun_for().is_some_and(|other| other != user_id) {
            return Err(otp::unknown(sso, Kind::CodeRefused));
        }
        let ticket = match challenge::guess(sso, request_id, &change, &code, caller.address).await? {
            Ok((_, ticket)) => ticket,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let changed = change_to(sso, person, request, change, ticket.clone()).await;
        ticket.settle(sso, changed).await.inspect_err(|error| challenge::tell_overtaken(sso, user_id, error))?;
        otp::acknowledge(sso, verification_id);
    }
    account::get(sso, person).await.map(Ok)
}

/// Makes the approval so: the identifier is the caller's, in place of one of its kind or beside the other.
async fn change_to(
    sso: &Sso,
    person: Person,
    request: Request,
    change: Challenge,
    ticket: Ticket,
) -> Result<(), Error> {
    let (limits, now, id) = (sso.sessions, sso.clock.now(), sso.id());
    let (audit, notices) = (sso.audit.clone(), Arc::clone(&sso.notices));
    let Person { user_id, session_id } = person;
    let outcome = Outcome { user_id, verification_id: Some(change.id), session_id: Some(session_id) };
    let done = sso.db.write("change_identifier", move |c| {
        if request.claim(c, &outcome, now)?.is_some() {
            return Ok(());
        }
        store::users::lock(c, user_id)?.ok_or(Error::SessionEnded)?;
        session::require(c, person, &limits, now)?;
        // It may have been ended while the code was on its way, as by a new password.
        if store::challenges::end(c, change.id, user_id)? == 0 {
            return Err(Error::VerificationNotFound);
        }
        let replaces =
            store::identifiers::verified(c, user_id)?.iter().any(|one| one.kind() == change.identifier.kind());
        let (kind, notice) = match replaces {
            true => (Kind::IdentifierChanged, Notice::IdentifierChanged),
            false => (Kind::IdentifierAdded, Notice::IdentifierAdded),
        };
        // Before the swap: the old one is told.
        notices.owe(c, user_id, notice, now)?;
        store::identifiers::set(c, id, user_id, &change.identifier, now)?;
        create::note_rivals(c, &audit, user_id, &change.identifier)?;
        store::end_codes(c, user_id)?;
        audit.record(c, Event::new(kind).of(user_id).session(session_id))?;
        ticket.right(c, now)
    });
    match done.await {
        // Somebody else was faster to prove it, so this change is over.
        Err(Error::IdentifierTaken) => Err(Error::VerificationNotFound),
        done => {
            sso.notices.stir();
            done
        }
    }
}

/// Takes one of the caller's two identifiers away. One that is not the caller's is gone already.
///
/// # Errors
/// Those of [`fresh::prove`]; [`Error::LastIdentifier`] if no other is verified; [`Error::RequestIdReused`].
pub(crate) async fn remove(sso: &Arc<Sso>, caller: Caller, ask: Ask) -> Result<User, Error> {
    let ticket = fresh::prove(sso, caller, ask.password.as_ref()).await?;
    let Ask { request_id, identifier, .. } = ask;
    let person @ Person { user_id, session_id } = caller.person;
    let request = sso.request(request_id, &[b"remove_identifier", user_id.as_bytes(), identifier.value().as_bytes()]);
    let (limits, now) = (sso.sessions, sso.clock.now());
    let (audit, notices) = (sso.audit.clone(), Arc::clone(&sso.notices));
    let proven = ticket.clone();
    let removed = sso.db.write("remove_identifier", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if request.claim(c, &outcome, now)?.is_some() {
            return proven.right(c, now);
        }
        // Of two removals at once the second finds one left.
        store::users::lock(c, user_id)?.ok_or(Error::SessionEnded)?;
        session::require(c, person, &limits, now)?;
        let verified = store::identifiers::verified(c, user_id)?;
        if !verified.contains(&identifier) {
            return proven.right(c, now);
        }
        if verified.len() == 1 {
            return Err(Error::LastIdentifier);
        }
        notices.owe(c, user_id, Notice::IdentifierRemoved, now)?;
        store::identifiers::remove(c, user_id, &identifier, now)?;
        store::end_codes(c, user_id)?;
        audit.record(c, Event::new(Kind::IdentifierRemoved).of(user_id).session(session_id))?;
        proven.right(c, now)
    });
    ticket.settle(sso, removed.await).await.inspect_err(|error| {
        if matches!(error, Error::LastIdentifier) {
            sso.audit.count(caller.event(Kind::IdentifierRemovalRefused).because(Reason::LastIdentifier));
        }
    })?;
    sso.notices.stir();
    account::get(sso, person).await
}

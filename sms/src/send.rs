//! Sending a code: opening a verification with its first, or giving an open one another. The rows are committed first and
//! the carrier is called afterwards, so that a crash between the two loses a message and never sends one that no row knows.

use std::sync::Arc;

use db::{At, Conn, Id};
use uuid::Uuid;

use crate::{
    carrier::Message,
    code::{Keys, Seal},
    core::{Core, Draft, LIFE},
    delivery::{self, Receipt},
    destination::Destination,
    error::Error,
    limits::{DAY, Leave, Limits, after, before},
    message,
    store::{self, APPROVED, PENDING, Send, Verification},
};

/// What a code is for. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Purpose {
    VerifyIdentifier = 1,
    ResetPassword = 2,
}

impl Purpose {
    /// From its column.
    fn stored(number: i16) -> Self {
        if number == 2 { Self::ResetPassword } else { Self::VerifyIdentifier }
    }
}

/// A verification to open.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) purpose: Purpose,
    pub(crate) destination: Destination,
    pub(crate) decoy: bool,
}

/// A verification that wants another code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Another {
    pub(crate) request_id: Uuid,
    pub(crate) verification_id: Uuid,
}

/// What every send brings to its transaction.
#[derive(Clone)]
struct Slip {
    request_id: Uuid,
    draft: Draft,
    fingerprint: Seal,
}

/// What the transaction of a send decided.
enum Decided {
    /// To send: the row is written, the carrier is next.
    Fresh { send: Send, purpose: Purpose, decoy: bool },
    /// Nothing: this request was answered before.
    Replay(Send),
}

/// Opens a verification and sends its first code.
pub(crate) async fn first(core: &Arc<Core>, opening: Opening) -> Result<Receipt, Error> {
    let (desk, draft) = (Desk::of(core), core.draft());
    let fingerprint = desk.keys.request(&[
        b"send",
        opening.verification_id.as_bytes(),
        opening.user_id.as_bytes(),
        &(opening.purpose as i16).to_be_bytes(),
        opening.destination.expose().as_bytes(),
        &[u8::from(opening.decoy)],
    ]);
    let slip = Slip { request_id: opening.request_id, draft: draft.clone(), fingerprint };
    let decided = core.write("send_otp", move |c, now| desk.open(c, &opening, &slip, now)).await?;
    conclude(core, decided, draft).await
}

/// Sends another code; the one before it stops working.
pub(crate) async fn another(core: &Arc<Core>, wish: Another) -> Result<Receipt, Error> {
    let (desk, draft) = (Desk::of(core), core.draft());
    let fingerprint = desk.keys.request(&[b"resend", wish.verification_id.as_bytes()]);
    let slip = Slip { request_id: wish.request_id, draft: draft.clone(), fingerprint };
    let decided = core.write("resend_otp", move |c, now| desk.renew(c, wish.verification_id, &slip, now)).await?;
    conclude(core, decided, draft).await
}

async fn conclude(core: &Arc<Core>, decided: Decided, draft: Draft) -> Result<Receipt, Error> {
    match decided {
        Decided::Replay(send) => delivery::settled(core, send).await,
        Decided::Fresh { send, purpose, decoy } => {
            let destination = Destination::stored(send.destination.clone());
            let (text, code) = if decoy {
                (message::notice(purpose, &destination), None)
            } else {
                let text = message::code(purpose, &draft.code, &draft.reference, core.limits.code_lifetime);
                (text, Some((draft.code, draft.reference)))
            };
            let message = Message { id: send.request_id.0, destination, text, code };
            Ok(delivery::deliver(core, send, message).await)
        }
    }
}

/// What the transactions work with, owned, for they run elsewhere and maybe twice.
#[derive(Clone)]
struct Desk {
    keys: Keys,
    limits: Arc<Limits>,
}

impl Desk {
    fn of(core: &Core) -> Self {
        Self { keys: core.keys.clone(), limits: Arc::clone(&core.limits) }
    }

    fn open(&self, c: &mut Conn, opening: &Opening, slip: &Slip, now: i64) -> Result<Decided, Error> {
        let destination = opening.destination.expose();
        store::lock_destination(c, destination, after(now, LIFE))?;
        if let Some(replay) = replay(c, slip, now)? {
            return Ok(replay);
        }
        if store::verification(c, opening.verification_id)?.is_some() {
            return Err(Error::Exists);
        }
        let leave = self.leave(c, destination, 0, now)?;
        let verification = Verification {
            id: Id(opening.verification_id),
            user_id: Id(opening.user_id),
            purpose: opening.purpose as i16,
            destination: destination.to_owned(),
            decoy: opening.decoy,
            state: PENDING,
            sends: 1,
            guesses: 0,
            code_seal: slip.draft.seal(&self.keys, opening.verification_id, opening.decoy).as_bytes().to_vec(),
            code_expires_at: At(after(now, self.limits.code_lifetime)),
            created_at: At(now),
            ends_at: At(after(now, LIFE)),
            kept_until: At(after(now, LIFE)),
        };
        store::insert_verification(c, &verification)?;
        let send = self.note(c, &verification, slip, leave, now)?;
        Ok(Decided::Fresh { send, purpose: opening.purpose, decoy: opening.decoy })
    }

    fn renew(&self, c: &mut Conn, id: Uuid, slip: &Slip, now: i64) -> Result<Decided, Error> {
        let destination = match store::verification(c, id)? {
            Some(verification) if verification.ends_at.0 > now => verification.destination,
            _ => return Err(Error::NotFound),
        };
        store::lock_destination(c, &destination, after(now, LIFE))?;
        if let Some(replay) = replay(c, slip, now)? {
            return Ok(replay);
        }
        // Once more, now that nobody else can change it.
        let mut verification = store::verification(c, id)?.ok_or(Error::NotFound)?;
        self.still_open(&verification)?;
        let leave = self.leave(c, &destination, count(verification.sends), now)?;
        let seal = slip.draft.seal(&self.keys, id, verification.decoy);
        let code_expires_at = after(now, self.limits.code_lifetime);
        if store::renew_code(c, &verification, &seal, code_expires_at)? == 0 {
            return Err(Error::Over);
        }
        verification.sends += 1;
        verification.code_expires_at = At(code_expires_at);
        let (purpose, decoy) = (Purpose::stored(verification.purpose), verification.decoy);
        let send = self.note(c, &verification, slip, leave, now)?;
        Ok(Decided::Fresh { send, purpose, decoy })
    }

    /// A code that cannot be right any more is not worth a message.
    fn still_open(&self, verification: &Verification) -> Result<(), Error> {
        match verification.state {
            APPROVED => Err(Error::Over),
            _ if self.limits.guesses_left(count(verification.guesses)) == 0 => Err(Error::VerificationGuessed),
            _ => Ok(()),
        }
    }

    fn leave(&self, c: &mut Conn, destination: &str, sends: u16, now: i64) -> Result<Leave, Error> {
        let past = store::past_sends(c, destination, before(now, DAY), self.limits.sends_looked_at())?;
        Ok(self.limits.admit(now, sends, &past)?)
    }

    fn note(
        &self,
        c: &mut Conn,
        verification: &Verification,
        slip: &Slip,
        leave: Leave,
        now: i64,
    ) -> Result<Send, Error> {
        let guesses_left = self.limits.guesses_left(count(verification.guesses));
        let send = Send {
            request_id: Id(slip.request_id),
            verification_id: verification.id,
            destination: verification.destination.clone(),
            fingerprint: slip.fingerprint.as_bytes().to_vec(),
            number: verification.sends,
            reference: slip.draft.reference.as_str().to_owned(),
            outcome: None,
            guesses_left: i16::try_from(guesses_left).unwrap_or(i16::MAX),
            sent_at: At(now),
            code_expires_at: verification.code_expires_at,
            cool_down_ends: At(leave.cool_down_ends),
            resend_after: At(leave.resend_after),
            kept_until: At(after(now, LIFE)),
        };
        store::insert_send(c, &send)?;
        Ok(send)
    }
}

/// The answer to a request that came before; an error if it was another request.
fn replay(c: &mut Conn, slip: &Slip, now: i64) -> Result<Option<Decided>, Error> {
    match store::send(c, slip.request_id)? {
        None => Ok(None),
        Some(send) if send.kept_until.0 <= now => Err(Error::RequestIdReused),
        Some(send) => match Seal::stored(&send.fingerprint) {
            Some(seal) if seal.matches(&slip.fingerprint) => Ok(Some(Decided::Replay(send))),
            _ => Err(Error::RequestIdReused),
        },
    }
}

/// A count out of the database, where it is never negative.
pub(crate) fn count(stored: i16) -> u16 {
    u16::try_from(stored).unwrap_or(u16::MAX)
}

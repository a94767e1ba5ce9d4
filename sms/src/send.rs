//! Sending a code: opening a verification with its first, or giving an open one another. The rows are committed first, with the
//! delivery that they owe, and the carrier is called afterwards: a crash between the two delays a message, and never sends one that no
//! row knows.

use std::sync::Arc;

use db::{At, Conn, Id, Lease};
use mesh::uuid_v7;
use uuid::Uuid;

use crate::{
    code::{Keys, Reference, Seal},
    core::{Core, LIFE},
    delivery::{self, Receipt},
    destination::Destination,
    error::Error,
    limits::{DAY, Leave, Limits},
    store::{self, APPROVED, DELIVERIES, Owed, PENDING, Send, Verification},
};

/// What a code is for. The numbers stand in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Purpose {
    VerifyIdentifier = 1,
    ResetPassword = 2,
    SignIn = 3,
    ChangeIdentifier = 4,
}

impl Purpose {
    /// From its column.
    pub(crate) fn stored(number: i16) -> Self {
        match number {
            4 => Self::ChangeIdentifier,
            3 => Self::SignIn,
            2 => Self::ResetPassword,
            _ => Self::VerifyIdentifier,
        }
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
    /// Whether it is a decoy from now on.
    pub(crate) decoy: bool,
}

/// What every send brings to its transaction. A decoy draws the same as everybody.
#[derive(Clone)]
struct Slip {
    request_id: Uuid,
    fingerprint: Seal,
    reference: Reference,
    /// What a decoy keeps in place of its code's seal.
    nothing: Seal,
    /// Names the delivery, and the hold that this send has on it.
    hold: Uuid,
}

/// What the transaction of a send decided.
enum Decided {
    /// To send: the row is written, the carrier is next.
    Fresh(Send, Verification, Lease),
    /// Nothing: this request was answered before.
    Replay(Send),
}

/// Opens a verification and sends its first code.
pub(crate) async fn first(core: &Arc<Core>, opening: Opening) -> Result<Receipt, Error> {
    let desk = Desk::of(core);
    // Not whether it is a decoy: the destination may have become somebody's since, and the repeat is none the less one.
    let fingerprint = desk.keys.request(&[
        b"send",
        opening.verification_id.as_bytes(),
        opening.user_id.as_bytes(),
        &(opening.purpose as i16).to_be_bytes(),
        opening.destination.expose().as_bytes(),
    ]);
    let slip = Slip::draw(core, opening.request_id, fingerprint);
    let decided = core.write("send_otp", move |c, now| desk.open(c, &opening, &slip, now)).await?;
    conclude(core, decided).await
}

/// Sends another code; the one before it stops working.
pub(crate) async fn another(core: &Arc<Core>, wish: Another) -> Result<Receipt, Error> {
    let desk = Desk::of(core);
    let fingerprint = desk.keys.request(&[b"resend", wish.verification_id.as_bytes()]);
    let slip = Slip::draw(core, wish.request_id, fingerprint);
    let decided = core.write("resend_otp", move |c, now| desk.renew(c, wish, &slip, now)).await?;
    conclude(core, decided).await
}

async fn conclude(core: &Arc<Core>, decided: Decided) -> Result<Receipt, Error> {
    match decided {
        Decided::Replay(send) => delivery::settled(core, send).await,
        Decided::Fresh(send, verification, lease) => {
            let outcome = delivery::at_once(core, &Owed::Code(send.clone(), verification), lease).await?;
            Ok(Receipt::of(send, outcome))
        }
    }
}

impl Slip {
    fn draw(core: &Core, request_id: Uuid, fingerprint: Seal) -> Self {
        let (reference, nothing) = (Reference::draw(&core.random), Seal::of_nothing(&core.random));
        Self { request_id, fingerprint, reference, nothing, hold: uuid_v7(&core.clock, &core.random) }
    }
}

/// What the transactions work with, owned, for they run elsewhere and maybe twice.
#[derive(Clone)]
struct Desk {
    keys: Keys,
    limits: Arc<Limits>,
    code_digits: u32,
}

impl Desk {
    fn of(core: &Core) -> Self {
        Self { keys: core.keys.clone(), limits: Arc::clone(&core.limits), code_digits: core.code_digits }
    }

    fn seal(&self, verification_id: Uuid, slip: &Slip, decoy: bool) -> Seal {
        let code = self.keys.draw(verification_id, slip.request_id, self.code_digits);
        let seal = self.keys.code(verification_id, &code);
        if decoy { slip.nothing } else { seal }
    }

    fn open(&self, c: &mut Conn, opening: &Opening, slip: &Slip, now: At) -> Result<Decided, Error> {
        let destination = opening.destination.expose();
        store::lock_destination(c, destination, now.plus(LIFE))?;
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
            code_seal: self.seal(opening.verification_id, slip, opening.decoy).as_bytes().to_vec(),
            code_expires_at: now.plus(self.limits.code_lifetime),
            created_at: now,
            ends_at: now.plus(LIFE),
            kept_until: now.plus(LIFE),
        };
        store::insert_verification(c, &verification)?;
        self.note(c, verification, slip, leave, now)
    }

    fn renew(&self, c: &mut Conn, wish: Another, slip: &Slip, now: At) -> Result<Decided, Error> {
        let id = wish.verification_id;
        let destination = match store::verification(c, id)? {
            Some(verification) if verification.ends_at > now => verification.destination,
            _ => return Err(Error::NotFound),
        };
        store::lock_destination(c, &destination, now.plus(LIFE))?;
        if let Some(replay) = replay(c, slip, now)? {
            return Ok(replay);
        }
        // Once more, now that nobody else can change it.
        let mut verification = store::verification(c, id)?.ok_or(Error::NotFound)?;
        self.still_open(&verification)?;
        let leave = self.leave(c, &destination, count(verification.sends), now)?;
        verification.decoy |= wish.decoy;
        let seal = self.seal(id, slip, verification.decoy);
        let code_expires_at = now.plus(self.limits.code_lifetime);
        if store::renew_code(c, &verification, &seal, code_expires_at)? == 0 {
            return Err(Error::Over);
        }
        verification.sends += 1;
        verification.code_expires_at = code_expires_at;
        self.note(c, verification, slip, leave, now)
    }

    /// A code that cannot be right any more is not worth a message.
    fn still_open(&self, verification: &Verification) -> Result<(), Error> {
        match verification.state {
            APPROVED => Err(Error::Over),
            _ if self.limits.guesses_left(count(verification.guesses)) == 0 => Err(Error::VerificationGuessed),
            _ => Ok(()),
        }
    }

    fn leave(&self, c: &mut Conn, destination: &str, sends: u16, now: At) -> Result<Leave, Error> {
        let past = store::past_sends(c, destination, now.minus(DAY), self.limits.sends_looked_at())?;
        Ok(self.limits.admit(now, sends, &past)?)
    }

    /// Writes down the send, and that its message is owed.
    fn note(
        &self,
        c: &mut Conn,
        verification: Verification,
        slip: &Slip,
        leave: Leave,
        now: At,
    ) -> Result<Decided, Error> {
        let guesses_left = self.limits.guesses_left(count(verification.guesses));
        let send = Send {
            request_id: Id(slip.request_id),
            verification_id: verification.id,
            destination: verification.destination.clone(),
            fingerprint: slip.fingerprint.as_bytes().to_vec(),
            number: verification.sends,
            reference: slip.reference.as_str().to_owned(),
            outcome: None,
            guesses_left: i16::try_from(guesses_left).unwrap_or(i16::MAX),
            sent_at: now,
            code_expires_at: verification.code_expires_at,
            cool_down_ends: leave.cool_down_ends,
            resend_after: leave.resend_after,
            kept_until: now.plus(LIFE),
        };
        store::insert_send(c, &send)?;
        let lease = Lease::held(slip.request_id, delivery::carrier_of(&send.destination), slip.hold);
        DELIVERIES.owe(c, slip.hold, &lease, now.plus(delivery::LEASE), now)?;
        Ok(Decided::Fresh(send, verification, lease))
    }
}

/// The answer to a request that came before; an error if it was another request.
fn replay(c: &mut Conn, slip: &Slip, now: At) -> Result<Option<Decided>, Error> {
    match store::send(c, slip.request_id)? {
        None => Ok(None),
        Some(send) if send.kept_until <= now => Err(Error::RequestIdReused),
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

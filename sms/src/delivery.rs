//! Handing a message to the carrier and keeping what became of it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    carrier::{Message, Outcome},
    code::Reference,
    core::Core,
    destination::Destination,
    error::Error,
    limits::after,
    send::count,
    store::{self, Send},
};

/// How much longer than the carrier may take a repeated request waits for what became of the first.
const GRACE: Duration = Duration::from_millis(200);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is answered to a send.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) verification_id: uuid::Uuid,
    pub(crate) destination: Destination,
    pub(crate) sent: bool,
    pub(crate) reference: Reference,
    pub(crate) code_expires_at: i64,
    pub(crate) resend_after: i64,
    pub(crate) guesses_left: u16,
}

impl Receipt {
    fn of(send: Send, outcome: Outcome) -> Self {
        Self {
            verification_id: send.verification_id.0,
            destination: Destination::stored(send.destination),
            sent: outcome.is_sent(),
            reference: Reference::stored(send.reference),
            code_expires_at: send.code_expires_at.0,
            resend_after: send.resend_after.0,
            guesses_left: count(send.guesses_left),
        }
    }
}

/// Calls the carrier, in a task of its own: a caller who hangs up must not leave half a delivery. Waits for it; the deadline
/// of the call ends the waiting, not the task.
pub(crate) async fn deliver(core: &Arc<Core>, send: Send, message: Message) -> Receipt {
    let task = tokio::spawn(mesh::trace::inherit(carry(Arc::clone(core), message)));
    // A carrier that panicked has not said that it took the message.
    let outcome = task.await.unwrap_or(Outcome::Unknown);
    Receipt::of(send, outcome)
}

async fn carry(core: Arc<Core>, message: Message) -> Outcome {
    let begun = Instant::now();
    let outcome = timeout(core.carrier_timeout, core.carrier.deliver(&message)).await.unwrap_or(Outcome::TimedOut);
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = message.id;
    match outcome {
        Outcome::Sent => tracing::info!(%id, ms, "message sent"),
        other => tracing::warn!(%id, ms, outcome = ?other, "message not sent"),
    }
    if let Err(error) = core.write("record_outcome", move |c, _| Ok(store::record_outcome(c, id, outcome)?)).await {
        // A repeat of the request will be told that the message failed, which costs the person another message at worst.
        tracing::warn!(%id, %error, "what became of a message was not kept");
    }
    outcome
}

/// The answer to a request that was answered before, or is being answered at this moment: then this waits for what the
/// carrier says to the first. A send that nobody recorded an outcome for was cut short by a crash, and counts as failed.
pub(crate) async fn settled(core: &Arc<Core>, mut send: Send) -> Result<Receipt, Error> {
    let given_up = after(send.sent_at.0, core.carrier_timeout + GRACE);
    let id = send.request_id.0;
    while send.outcome.is_none() && core.clock.micros() < given_up {
        sleep(LOOK_EVERY).await;
        send = match core.db.read("send_outcome", move |c| Ok::<_, Error>(store::send(c, id)?)).await? {
            Some(send) => send,
            None => return Err(Error::NotFound),
        };
    }
    let outcome = send.outcome.map_or(Outcome::Unknown, Outcome::stored);
    Ok(Receipt::of(send, outcome))
}

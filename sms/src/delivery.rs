//! Handing messages to the carrier: at once when a send is asked for, and again from a worker if the process died in between or the carrier
//! could not be reached. What is owed is leased work ([`db::work`]); the message is made anew each time, for no row holds a code.

use std::{sync::Arc, time::Duration};

use db::{
    At, Conn, Lease,
    work::{self, By, COUNTED, Duty, End, Sample},
};
use mesh::{metrics, uuid_v7};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    carrier::{Message, Outcome},
    code::Reference,
    core::Core,
    destination::Destination,
    error::Error,
    message,
    notice::Notice,
    send::{Purpose, count},
    store::{self, DELIVERIES, Owed, Send},
};

/// How long whoever took a message may keep it: longer than clocks of replicas may differ (10 s), [`HOLDING`] and any carrier take together.
pub(crate) const LEASE: Duration = Duration::from_secs(18);
/// How long it may take to take hold of a message again, before it is handed to the carrier.
const HOLDING: Duration = Duration::from_secs(6);
/// How much longer than the carrier may take a repeated request waits for what became of the first.
const GRACE: Duration = Duration::from_millis(200);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Carriers of text messages and of mail, by number and name. Each has a worker, so that an outage of one holds up none of the other's.
pub(crate) const CARRIERS: [(i16, &str); 2] = [(1, "phone"), (2, "email")];

/// What is answered to a send.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) verification_id: Uuid,
    pub(crate) destination: Destination,
    pub(crate) sent: bool,
    pub(crate) reference: Reference,
    pub(crate) code_expires_at: At,
    pub(crate) resend_after: At,
    pub(crate) guesses_left: u16,
}

impl Receipt {
    pub(crate) fn of(send: Send, outcome: Outcome) -> Self {
        Self {
            verification_id: send.verification_id.0,
            destination: Destination::stored(send.destination),
            sent: outcome.is_sent(),
            reference: Reference::stored(send.reference),
            code_expires_at: send.code_expires_at,
            resend_after: send.resend_after,
            guesses_left: count(send.guesses_left),
        }
    }
}

/// The carrier that a destination's messages go by, as `deliveries.target` has it.
pub(crate) fn carrier_of(destination: &str) -> i16 {
    match Destination::stored(destination.to_owned()) {
        Destination::Phone(_) => 1,
        Destination::Email(_) => 2,
    }
}

/// Calls the carrier, in a task of its own: a caller who hangs up must not leave half a delivery. Waits for what the carrier says, and not until it is
/// written down; the deadline of the call ends the waiting, not the task.
///
/// # Errors
/// [`Error::Unsettled`] if the carrier panicked: it may have taken the message.
pub(crate) async fn at_once(core: &Arc<Core>, owed: &Owed, lease: Lease) -> Result<Outcome, Error> {
    let (message, is_notice) = (written(core, owed), owed.is_notice());
    let (core, (answer, said)) = (Arc::clone(core), oneshot::channel());
    tokio::spawn(mesh::trace::inherit(async move {
        let outcome = carry(&core, &message).await;
        // A caller that has gone does not want to know.
        let _ = answer.send(outcome);
        note(&core, lease, is_notice, outcome, By::Owner).await;
    }));
    said.await.map_err(|_| Error::Unsettled)
}

/// The message of a send or a notice.
fn written(core: &Core, owed: &Owed) -> Message {
    let (send, verification) = match owed {
        Owed::Code(send, verification) => (send, verification),
        Owed::Notice(row) => {
            let text = message::notice(Notice::stored(row.notice)).to_owned();
            return Message {
                id: row.id.0,
                destination: Destination::stored(row.destination.clone()),
                text,
                code: None,
            };
        }
    };
    let destination = Destination::stored(send.destination.clone());
    let (id, purpose) = (send.request_id.0, Purpose::stored(verification.purpose));
    if verification.decoy {
        return Message { id, text: message::decoy(purpose, &destination), destination, code: None };
    }
    let code = core.keys.draw(verification.id.0, id, core.code_digits);
    let reference = Reference::stored(send.reference.clone());
    let text = message::code(purpose, &code, &reference, core.limits.code_lifetime);
    Message { id, destination, text, code: Some((code, reference)) }
}

async fn carry(core: &Core, message: &Message) -> Outcome {
    let begun = Instant::now();
    let outcome = timeout(core.carrier_timeout, core.carrier.deliver(message)).await.unwrap_or(Outcome::TimedOut);
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let id = message.id;
    match outcome {
        Outcome::Sent => tracing::info!(%id, ms, "message sent"),
        other => tracing::warn!(%id, ms, outcome = ?other, "message not sent"),
    }
    outcome
}

/// Writes down what the carrier said, and tries again while the message is held: what nobody noted is sent once more, under the same id.
async fn note(core: &Core, lease: Lease, is_notice: bool, outcome: Outcome, by: By) {
    let id = lease.subject;
    let pause = core.random.between(work::pause(lease.attempts));
    let noted = async {
        for tries in 1.. {
            match note_once(core, lease, is_notice, outcome, pause).await {
                Ok(end) => return core.tally.count(lease.target, by, end),
                Err(error) => tracing::warn!(%id, %error, "what became of a message is not kept yet"),
            }
            sleep(core.random.between(work::pause(tries))).await;
        }
    };
    if timeout(LEASE, noted).await.is_err() {
        tracing::warn!(%id, "what became of a message is not kept; the lease runs out");
    }
}

async fn note_once(
    core: &Core,
    lease: Lease,
    is_notice: bool,
    outcome: Outcome,
    pause: Duration,
) -> Result<End, Error> {
    // A code that may have arrived is not paid for twice, and its owner asks for another. Nobody asks for a notice: better told twice than never.
    let again = outcome.may_pass() || (is_notice && outcome.is_open());
    let noted = core.write("record_outcome", move |c, now| {
        let end = if again {
            DELIVERIES.postpone(c, &lease, Some(now.plus(pause)), &format!("{outcome:?}"))?
        } else {
            match DELIVERIES.finish(c, &lease)? {
                End::Done if !outcome.is_sent() => End::GivenUp,
                end => end,
            }
        };
        // Whoever holds it by now will say what became of it.
        if end != End::Fenced {
            store::record_outcome(c, lease.subject, outcome)?;
        }
        Ok(end)
    });
    noted.await
}

/// Delivers what is due of each carrier and held by nobody.
impl Duty for Core {
    const NAME: &'static str = "deliveries";

    async fn claim(&self, carrier: i16, most: i64) -> Result<Vec<Lease>, db::Error> {
        let (token, now) = (uuid_v7(&self.clock, &self.random), At::from(self.clock.now()));
        let claim = move |c: &mut Conn| Ok(DELIVERIES.claim(c, carrier, most, token, now.plus(LEASE), now)?);
        self.db.write("claim_deliveries", claim).await
    }

    /// Looks first whether the row is still its own, and holds it anew: a claim that waited in a queue may be over. A message that is of no use any more is not worth
    /// another attempt.
    async fn attempt(self: Arc<Self>, lease: Lease) {
        let begun = Instant::now();
        let found = self.write("find_delivery", move |c, now| {
            if !DELIVERIES.hold(c, &lease, now.plus(LEASE))? {
                return Ok(None);
            }
            let found = store::deliverable(c, lease.subject, now)?;
            if found.is_none() && DELIVERIES.finish(c, &lease)? == End::Done {
                store::give_up(c, lease.subject)?;
            }
            Ok(found)
        });
        match found.await {
            Ok(Some(_)) if begun.elapsed() > HOLDING => {
                tracing::warn!(id = %lease.subject, "held too late to be sent; the lease runs out");
            }
            Ok(Some(owed)) => {
                let message = written(&self, &owed);
                let outcome = carry(&self, &message).await;
                note(&self, lease, owed.is_notice(), outcome, By::Worker).await;
            }
            Ok(None) => tracing::info!(id = %lease.subject, "of no use any more, or somebody else's; not sent"),
            Err(error) => tracing::warn!(id = %lease.subject, %error, "not tried; the lease runs out"),
        }
    }

    async fn rest(&self, _carrier: i16) {
        sleep(self.random.between(Duration::from_millis(500)..Duration::from_millis(1500))).await;
    }
}

/// What is owed to each carrier, what came of the attempts, and what the database does; while it does not answer, the last alone.
pub(crate) async fn samples(core: &Core) -> Vec<metrics::Sample> {
    let backlog = core.db.read("deliveries_backlog", |c| {
        Ok::<_, Error>(DELIVERIES.backlogs(c, CARRIERS.map(|(carrier, _)| carrier), COUNTED)?)
    });
    let samples =
        backlog.await.map(|backlog| core.tally.samples(&backlog, core.clock.now().into())).unwrap_or_default();
    samples
        .into_iter()
        .chain(core.db.samples(crate::NAME))
        .map(|Sample { name, help, labels, value, buckets }| metrics::Sample { name, help, labels, value, buckets })
        .collect()
}

/// The answer to a request that was answered before, or is being answered at this moment: then this waits for what the
/// carrier says to the first.
///
/// # Errors
/// [`Error::Unsettled`] if nobody has noted an outcome, as when a crash cut the send short: its message is on its way again.
pub(crate) async fn settled(core: &Arc<Core>, mut send: Send) -> Result<Receipt, Error> {
    let given_up = send.sent_at.plus(core.carrier_timeout + GRACE);
    let id = send.request_id.0;
    while send.outcome.is_none() && At::from(core.clock.now()) < given_up {
        sleep(LOOK_EVERY).await;
        send = match core.db.read("send_outcome", move |c| Ok::<_, Error>(store::send(c, id)?)).await? {
            Some(send) => send,
            None => return Err(Error::NotFound),
        };
    }
    let outcome = send.outcome.map(Outcome::stored).ok_or(Error::Unsettled)?;
    Ok(Receipt::of(send, outcome))
}

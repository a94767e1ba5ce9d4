//! Telling users what was done with their accounts (OWASP ASVS 5.0, 6.3.7), at every identifier they have verified. What is owed is committed with what it
//! tells of, and a worker hands it to SMS until SMS has taken it on: nobody waits for a message, and none is lost.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::{
    Conn, Db, Lease,
    work::{self, By, Duty, Tally},
};
use mesh::{Clock, Deadline, Random, code_name, deadline, failure, uuid_v7};
use tokio::{sync::Notify, time};
use uuid::Uuid;

use crate::{
    error::Error,
    model::Notice,
    peers::Peers,
    store::{
        self,
        notices::{NOTICES, SMS},
    },
};

/// How long the worker may keep a row: a call of 2 s with its retries, two commits, and room to spare.
const LEASE: Duration = Duration::from_secs(10);
/// The longest pause that SMS may ask for: the window of its limits.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Settles what users are to be told.
pub(crate) struct Notices {
    db: Db,
    clock: Clock,
    random: Random,
    peers: Peers,
    pub(crate) tally: Tally,
    stirred: Notify,
}

impl Notices {
    pub(crate) fn new(db: Db, clock: Clock, random: Random, peers: Peers) -> Self {
        Self { db, clock, random, peers, tally: Tally::new(Self::NAME, [(SMS, "sms")]), stirred: Notify::new() }
    }

    /// Owes a notice to every identifier that the user has verified, in the transaction that gives reason for it. [`Self::stir`] once it is committed.
    ///
    /// # Errors
    /// Of the database.
    pub(crate) fn owe(&self, c: &mut Conn, user_id: Uuid, notice: Notice, now: SystemTime) -> Result<(), Error> {
        for identifier in store::identifiers::verified(c, user_id)? {
            store::notices::owe(c, uuid_v7(&self.clock, &self.random), user_id, notice, &identifier, now)?;
        }
        Ok(())
    }

    /// Wakes the worker: something is due.
    pub(crate) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Asks SMS once. Nothing is given up: what SMS does not know yet it may know after an upgrade.
    async fn tell(&self, lease: Lease) {
        let (id, attempts) = (lease.subject, lease.attempts);
        let (notice, identifier) =
            match self.db.read("notice", move |c| Ok::<_, Error>(store::notices::find(c, id)?)).await {
                Ok(Some(found)) => found,
                // Told by a later one, or the user was deleted: the row is gone.
                Ok(None) => return,
                Err(error) => return tracing::warn!(%id, %error, "not tried; the lease runs out"),
            };
        let (pause, refusal) = match self.peers.send_message(id, notice, &identifier).await {
            Ok(()) => (None, String::new()),
            Err(status) => {
                tracing::warn!(%id, attempts, code = ?status.code(), "a notice is still owed");
                let asked = failure::retry_delay(&status).unwrap_or_default().min(LONGEST);
                (Some(self.random.between(work::pause(attempts)).max(asked)), code_name(status.code()).to_owned())
            }
        };
        let due_at = pause.map(|pause| self.clock.now() + pause);
        let settled = self.db.write("settle_notice", move |c| {
            Ok::<_, Error>(match due_at {
                None => NOTICES.finish(c, &lease)?,
                Some(due_at) => NOTICES.postpone(c, &lease, Some(due_at.into()), &refusal)?,
            })
        });
        match settled.await {
            Ok(end) => self.tally.count(SMS, By::Worker, end),
            Err(error) => tracing::warn!(%id, %error, "not recorded; the lease runs out"),
        }
    }
}

/// Hands SMS what falls due.
impl Duty for Notices {
    const NAME: &'static str = "notices";

    async fn claim(&self, target: i16, most: i64) -> Result<Vec<Lease>, db::Error> {
        let (token, now) = (uuid_v7(&self.clock, &self.random), self.clock.now());
        let claim = move |c: &mut Conn| Ok(NOTICES.claim(c, target, most, token, (now + LEASE).into(), now.into())?);
        self.db.write("claim_notices", claim).await
    }

    async fn attempt(self: Arc<Self>, lease: Lease) {
        deadline::within(Deadline::after(LEASE / 2), self.tell(lease)).await;
    }

    async fn rest(&self, _target: i16) {
        let pause = self.random.between(Duration::from_millis(500)..Duration::from_millis(1500));
        // Stirred or not, it looks again.
        let _ = time::timeout(pause, self.stirred.notified()).await;
    }
}

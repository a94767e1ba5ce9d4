//! Telling Social and Blog of every user: at once from the handler, and again from a worker until it is done.
//!
//! A row in `provisioning` says "bring this target up to date with this user". Who commits it tells what was committed, a worker what it reads, and the
//! target keeps the higher of two versions. So nothing can arrive out of order or be missed, whichever process dies whenever.

mod attempt;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::{
    Conn, Db, Lease,
    work::{By, Duty, End, Tally},
};
use mesh::{Clock, Deadline, Random, deadline, trace, uuid_v7};
use tokio::{sync::oneshot, time};
use uuid::Uuid;

use crate::{
    audit::Audit,
    error::Error,
    gate::Gates,
    model::{Target, Truth},
    peers::Peers,
    session::Limits,
    step::Step,
    store::{
        self,
        provisioning::{DEBTS, Debts},
    },
};

/// How long whoever took a row may keep it: a call of 1 s with its retries, two commits, and room to spare.
const LEASE: Duration = Duration::from_secs(10);
/// Rows that are brought forward at most when a target answers again: more than a process has under way when one goes down.
const FORWARD: i64 = 500;
/// The pause of a row that found its target down.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// What a handler keeps of its deadline for its answer.
const RESERVE: Duration = Duration::from_millis(250);

/// Settles what is owed to the targets.
pub(crate) struct Provisioner {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) peers: Peers,
    pub(crate) gates: Gates,
    pub(crate) tally: Tally,
    pub(crate) audit: Audit,
    pub(crate) sessions: Limits,
}

impl Provisioner {
    /// What a change of a user owes, held by whoever commits it, so that nobody else begins with it. Of a target that is down nobody holds it: the
    /// worker takes it once the target answers.
    pub(crate) fn held(&self, user_id: Uuid, now: SystemTime) -> Debts {
        let token = uuid_v7(&self.clock, &self.random);
        let debt = |target| {
            let id = uuid_v7(&self.clock, &self.random);
            if self.gates.of(target).is_open() {
                (id, Lease::held(user_id, target as i16, token), now + LEASE)
            } else {
                (id, Lease::free(user_id, target as i16), now)
            }
        };
        Target::ALL.map(debt).into_iter().collect()
    }

    /// What a change of a user owes, due now and held by nobody.
    pub(crate) fn free(&self, user_id: Uuid, targets: &[Target], now: SystemTime) -> Debts {
        let debt = |target: &Target| (uuid_v7(&self.clock, &self.random), Lease::free(user_id, *target as i16), now);
        targets.iter().map(debt).collect()
    }

    /// Wakes the workers: something is due.
    pub(crate) fn stir(&self) {
        Target::ALL.iter().for_each(|target| self.gates.of(*target).stir());
    }

    /// Settles the debts a handler has just committed with `truth`, all targets at once, and waits for them while its deadline allows. The work is a task of
    /// its own, with time of its own: a caller that goes away or is in a hurry does not stop it, and does not make a target look slow. Returns whether every
    /// target knows by then; that nothing is owed any more is written down a moment later, for nothing is lost without it.
    pub(crate) async fn settle(self: &Arc<Self>, debts: Debts, truth: Truth) -> bool {
        let left = deadline::current().map_or(LEASE / 2, Deadline::left);
        let truth = Arc::new(truth);
        let mut answers = Vec::new();
        for lease in debts.held() {
            let (this, truth, (answer, told)) = (Arc::clone(self), Arc::clone(&truth), oneshot::channel());
            let attempt = async move { this.at_once(lease, &truth, answer).await };
            tokio::spawn(trace::inherit(deadline::within(Deadline::after(LEASE / 2), attempt)));
            answers.push(told);
        }
        let wait = async {
            let mut told = 0;
            for answer in answers {
                told += usize::from(answer.await == Ok(true));
            }
            told == Target::ALL.len()
        };
        time::timeout(left.saturating_sub(RESERVE), wait).await.unwrap_or_else(|_| {
            tracing::warn!("a target takes long; the worker will see to it");
            false
        })
    }

    /// Answers whether the target was told.
    async fn at_once(&self, lease: Lease, truth: &Truth, answer: oneshot::Sender<bool>) {
        let gate = self.gates.of(Target::from_stored(lease.target));
        let Some(_permit) = gate.fast() else {
            let untried = Lease { attempts: 0, ..lease };
            self.record(untried, &Step::Postpone { due_at: Some(self.clock.now()), error: String::new() }).await;
            return gate.stir();
        };
        let (lease, step) = self.call(lease, truth).await;
        // How far an attempt in vain came is read from its record, so that has to be there; a handler that has gone does not want to know either way.
        if matches!(step, Step::Finish | Step::Bury) {
            let _ = answer.send(true);
            self.conclude(lease, &step, By::Owner).await;
        } else {
            self.conclude(lease, &step, By::Owner).await;
            let _ = answer.send(false);
        }
    }

    /// What a worker does with a row: it may be a while since it was owed.
    async fn later(&self, lease: Lease) {
        let user_id = lease.subject;
        match self.truth(user_id).await {
            Ok(Some(truth)) => {
                let (lease, step) = self.call(lease, &truth).await;
                self.conclude(lease, &step, By::Worker).await;
            }
            // Deleted, and somebody else has told the last target. The row has gone then; one that has not would be claimed for ever.
            Ok(None) => {
                if self.record(lease, &Step::Forget { now: self.clock.now() }).await == Some(End::Done) {
                    tracing::error!(%user_id, lease.target, "was owed, and there is nothing to tell: neither user nor tombstone");
                }
            }
            Err(error) => tracing::warn!(%user_id, lease.target, %error, "not tried; the lease runs out"),
        }
    }

    async fn truth(&self, id: Uuid) -> Result<Option<Truth>, Error> {
        self.db.read("truth", move |c| Ok(store::deletion::truth(c, id)?)).await
    }

    /// The target answers again: what was put off need not wait. Once, and before anything else is tried: what fails from now on is put off for a reason of its own.
    async fn bring_forward(&self, target: Target) {
        let now = self.clock.now();
        let moved = self.db.write("bring_provisioning_forward", move |c| {
            Ok::<_, Error>(DEBTS.bring_forward(c, target as i16, FORWARD, now.into())?)
        });
        match moved.await {
            Ok(rows) => tracing::info!(%target, rows, "brought forward"),
            Err(error) => tracing::warn!(%target, %error, "nothing can be brought forward; it falls due by itself"),
        }
    }
}

/// Settles the rows of each target as they fall due.
impl Duty for Provisioner {
    const NAME: &'static str = "provisioning";

    /// 500 rows a second, a target and a process, so that catching up leaves room to those who sign up meanwhile.
    const PACE: Duration = Duration::from_millis(2);

    async fn claim(&self, target: i16, most: i64) -> Result<Vec<Lease>, db::Error> {
        let gate = self.gates.of(Target::from_stored(target));
        let most = gate.may_claim(most);
        if most == 0 {
            return Ok(Vec::new());
        }
        if gate.has_recovered() {
            self.bring_forward(Target::from_stored(target)).await;
        }
        let (token, now) = (uuid_v7(&self.clock, &self.random), self.clock.now());
        let claim = move |c: &mut Conn| Ok(DEBTS.claim(c, target, most, token, (now + LEASE).into(), now.into())?);
        self.db.write("claim_provisioning", claim).await
    }

    async fn attempt(self: Arc<Self>, lease: Lease) {
        deadline::within(Deadline::after(LEASE / 2), self.later(lease)).await;
    }

    async fn rest(&self, target: i16) {
        let pause = self.random.between(Duration::from_millis(200)..Duration::from_millis(1000));
        // Stirred or not, it looks again.
        let _ = time::timeout(pause, self.gates.of(Target::from_stored(target)).stirred()).await;
    }
}

#[cfg(test)]
mod tests;

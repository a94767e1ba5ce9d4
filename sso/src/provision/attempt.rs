//! One attempt: a call of the target, and what becomes of the row.

use db::{
    Lease,
    work::{self, By, End},
};
use mesh::code_name;
use tonic::Status;

use super::{PROBE_PAUSE, Provisioner};
use crate::{
    audit::{Event, Kind},
    error::Error,
    model::{Target, Truth},
    step::{Step, ahead, is_permanent, is_tombstone},
    store::{self, provisioning::DEBTS},
};

impl Provisioner {
    /// Calls the target once. Returns how the row is to end, and the hold on it with the attempts it is to have then.
    pub(super) async fn call(&self, lease: Lease, truth: &Truth) -> (Lease, Step) {
        let Lease { subject: user_id, attempts, .. } = lease;
        let target = Target::from_stored(lease.target);
        let outcome = self.peers.provision(target, user_id, truth).await;
        let was_open = self.heard(target, outcome.as_ref().err());
        let step = match outcome {
            Ok(_) if matches!(truth, Truth::Deleted { .. }) => Step::Bury,
            Ok(theirs) => match ahead(truth, theirs.as_ref()) {
                None => Step::Finish,
                Some(version) => {
                    let now = self.clock.now();
                    Step::Outdo { version, debts: self.free(user_id, &Target::ALL, now), now }
                }
            },
            Err(status) if is_tombstone(&status) => {
                tracing::error!(%user_id, %target, "deleted: the target knows of a deletion that SSO does not, as after a backup was restored");
                let now = self.clock.now();
                Step::Believe { debts: self.free(user_id, &Target::ALL, now), ending: self.sessions.ending(now) }
            }
            Err(status) if is_permanent(&status) => {
                tracing::error!(%user_id, %target, attempts, code = ?status.code(), "parked: refused for good, until RetryProvisioning");
                Step::Postpone { due_at: None, error: code_name(status.code()).to_owned() }
            }
            Err(status) => {
                tracing::warn!(%user_id, %target, attempts, code = ?status.code(), "still owed");
                let pause = if was_open { self.random.between(work::pause(attempts)) } else { PROBE_PAUSE };
                Step::Postpone { due_at: Some(self.clock.now() + pause), error: code_name(status.code()).to_owned() }
            }
        };
        // The row is not to blame for a target that was known to be down.
        let attempts = if was_open { attempts } else { attempts - 1 };
        (Lease { attempts, ..lease }, step)
    }

    pub(super) async fn conclude(&self, lease: Lease, step: &Step, by: By) {
        if let Some(end) = self.record(lease, step).await {
            self.tally.count(lease.target, by, end);
        }
    }

    /// Tells the gate how a call ended. Returns whether the target was held to be answering before.
    fn heard(&self, target: Target, error: Option<&Status>) -> bool {
        let gate = self.gates.of(target);
        let was_open = gate.is_open();
        if error.is_none_or(is_permanent) {
            if gate.answered() {
                tracing::info!(%target, "answers again");
                gate.stir();
            }
        } else if gate.failed() {
            tracing::error!(%target, "is down: tried once a second from now on");
        }
        was_open
    }

    /// Writes down how an attempt ended. `None` if it cannot be: then the lease runs out.
    pub(super) async fn record(&self, lease: Lease, step: &Step) -> Option<End> {
        let Lease { subject: user_id, attempts, .. } = lease;
        let target = Target::from_stored(lease.target);
        let (ended, audit) = (step.clone(), self.audit.clone());
        let kept = self.db.write("settle_provisioning", move |c| {
            let end = match &ended {
                Step::Finish => DEBTS.finish(c, &lease)?,
                Step::Forget { now } => store::deletion::forget(c, &lease, *now)?,
                Step::Bury => store::deletion::finish(c, &lease)?,
                Step::Believe { debts, ending } => {
                    let (end, deleted) = store::deletion::believe(c, &lease, debts, *ending)?;
                    if deleted {
                        audit.record(c, Event::new(Kind::UserDeleted).because(target.reason()).of(user_id))?;
                    }
                    end
                }
                Step::Outdo { version, debts, now } => {
                    let end = store::reconcile::outdo(c, &lease, *version, debts, *now)?;
                    if end != End::Fenced {
                        audit
                            .record(c, Event::new(Kind::ProvisioningReconciled).because(target.reason()).of(user_id))?;
                    }
                    end
                }
                Step::Postpone { due_at, error } => DEBTS.postpone(c, &lease, due_at.map(Into::into), error)?,
            };
            Ok::<_, Error>(end)
        });
        match kept.await {
            Ok(End::Fenced) => {
                tracing::info!(%user_id, %target, "somebody else holds the row by now");
                Some(End::Fenced)
            }
            Ok(end) => {
                tracing::debug!(%user_id, %target, attempts, ?step, "settled");
                if let Step::Outdo { version, .. } = step {
                    tracing::error!(%user_id, %target, version, "the target knew a version that SSO does not, as after a backup was restored: told anew");
                }
                if matches!(step, Step::Believe { .. } | Step::Outdo { .. }) {
                    self.stir();
                }
                Some(end)
            }
            Err(error) => {
                tracing::warn!(%user_id, %target, %error, "not recorded; the lease runs out");
                None
            }
        }
    }
}

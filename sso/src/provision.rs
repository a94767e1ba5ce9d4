//! Telling Social and Blog of every user: at once from the handler, and again from a worker until it is done.
//!
//! A row in `provisioning` says "bring this target up to date with this user"; the user is read when the target is called, and the target
//! keeps the higher of two versions. So nothing can arrive out of order or be missed, whichever process dies whenever.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::Db;
use mesh::{Clock, Deadline, Random, Shutdown, deadline, uuid_v7};
use tokio::{sync::Notify, task::JoinSet, time};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    error::Error,
    model::{Target, User},
    peers::Peers,
    store::{self, provisioning::Lease},
};

/// How long whoever took a row may keep it: a call of 1 s with its retries, two commits, and room to spare.
const LEASE: Duration = Duration::from_secs(10);
/// Rows of one target that one worker has under way.
const BATCH: i64 = 16;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What a handler keeps of its deadline for its answer.
const RESERVE: Duration = Duration::from_millis(250);

/// Settles what is owed to the targets.
pub(crate) struct Provisioner {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) peers: Peers,
    pub(crate) owed: Notify,
}

impl Provisioner {
    /// The rows to be born with a user, leased to whoever commits them.
    pub(crate) fn leases(&self, user_id: Uuid) -> Vec<Lease> {
        let token = uuid_v7(&self.clock, &self.random);
        let lease = |target| Lease { id: uuid_v7(&self.clock, &self.random), user_id, target, token, attempts: 1 };
        Target::ALL.map(lease).into()
    }

    /// When leases taken now run out.
    pub(crate) fn lease_end(&self, now: SystemTime) -> SystemTime {
        now + LEASE
    }

    /// Settles the rows a handler has just committed, all targets at once, and waits for them while its deadline allows. The work is a task of its own: a
    /// caller that goes away does not stop it.
    pub(crate) async fn settle(self: &Arc<Self>, leases: Vec<Lease>) {
        let deadline = deadline::current().unwrap_or_else(|| Deadline::after(LEASE / 2));
        let mut attempts = JoinSet::new();
        for lease in leases {
            let this = Arc::clone(self);
            attempts.spawn(deadline::within(deadline, async move { this.attempt(lease).await }));
        }
        let wait = async { while attempts.join_next().await.is_some() {} };
        if time::timeout(deadline.left().saturating_sub(RESERVE), wait).await.is_err() {
            tracing::warn!("a target takes long; the worker will see to it");
        }
        attempts.detach_all();
    }

    /// Settles the rows of `target` as they fall due, until `shutdown`.
    pub(crate) async fn work(self: Arc<Self>, target: Target, shutdown: Shutdown) {
        loop {
            let settled = self.round(target).await;
            if settled > 0 && !shutdown.is_begun() {
                continue;
            }
            let pause = self.random.between(Duration::from_millis(200)..Duration::from_millis(1000));
            tokio::select! {
                () = time::sleep(pause) => {}
                () = self.owed.notified() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// One claim and all its attempts. Returns how many rows there were.
    async fn round(self: &Arc<Self>, target: Target) -> usize {
        let (token, now) = (uuid_v7(&self.clock, &self.random), self.clock.now());
        let claimed = self
            .db
            .write("claim_provisioning", move |c| {
                Ok::<_, Error>(store::provisioning::claim(c, target, BATCH, token, now + LEASE, now)?)
            })
            .await;
        let leases = claimed.unwrap_or_else(|error| {
            tracing::warn!(%target, %error, "what is owed cannot be read");
            Vec::new()
        });
        let mut attempts = JoinSet::new();
        let count = leases.len();
        for lease in leases {
            let this = Arc::clone(self);
            attempts.spawn(deadline::within(Deadline::after(LEASE / 2), async move { this.attempt(lease).await }));
        }
        while attempts.join_next().await.is_some() {}
        count
    }

    /// Calls the target once, and ends or postpones the row.
    async fn attempt(&self, lease: Lease) {
        let outcome = match self.user(lease.user_id).await {
            Ok(Some(user)) => self.peers.provision(lease.target, &user).await,
            // Rows go with their user: there is nothing left to tell.
            Ok(None) => return,
            Err(error) => Err(mesh::Failure::from(error).into()),
        };
        let Lease { user_id, target, attempts, .. } = lease;
        let (step, due_at, error) = match outcome {
            Ok(()) => (Step::Finish, None, String::new()),
            Err(status) if is_permanent(&status) => {
                tracing::error!(%user_id, %target, attempts, code = ?status.code(), "parked: the target refuses the user for good");
                (Step::Postpone, None, code_name(&status))
            }
            Err(status) => {
                tracing::warn!(%user_id, %target, attempts, code = ?status.code(), "still owed");
                (Step::Postpone, Some(self.clock.now() + self.pause(attempts)), code_name(&status))
            }
        };
        let kept = self
            .db
            .write("settle_provisioning", move |c| {
                let rows = match step {
                    Step::Finish => store::provisioning::finish(c, &lease)?,
                    Step::Postpone => store::provisioning::postpone(c, &lease, due_at, &error)?,
                };
                Ok::<_, Error>(rows)
            })
            .await;
        match kept {
            Ok(1) => tracing::debug!(%user_id, %target, attempts, ?step, "settled"),
            Ok(_) => tracing::info!(%user_id, %target, "somebody else holds the row by now"),
            Err(error) => tracing::warn!(%user_id, %target, %error, "not recorded; the lease runs out"),
        }
    }

    async fn user(&self, id: Uuid) -> Result<Option<User>, Error> {
        self.db.read("user", move |c| Ok(store::users::find(c, id)?)).await
    }

    /// 0.5 s doubling to 30 s, with full jitter, so that what failed together does not come back together.
    fn pause(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10);
        let longest = (Duration::from_millis(500) * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        self.random.between(Duration::ZERO..longest)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Finish,
    Postpone,
}

/// What no repetition mends. Everything else may pass, UNIMPLEMENTED too: it does during a rolling deployment.
fn is_permanent(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::PermissionDenied
    )
}

/// "UNAVAILABLE" of `Code::Unavailable`.
fn code_name(status: &Status) -> String {
    let mut name = String::new();
    for (at, letter) in format!("{:?}", status.code()).chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::{code_name, is_permanent};

    #[test]
    fn what_may_pass_is_never_parked() {
        for status in [Status::unavailable(""), Status::unimplemented(""), Status::internal(""), Status::unknown("")] {
            assert!(!is_permanent(&status), "{status:?}");
        }
        assert!(is_permanent(&Status::invalid_argument("")));
    }

    #[test]
    fn codes_are_named_as_on_the_wire() {
        assert_eq!(code_name(&Status::deadline_exceeded("")), "DEADLINE_EXCEEDED");
    }
}

//! What goes wrong in a history with one SSO, and when it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use mesh::channel::{Fate, Faults};
use onebox::Part;
use tonic::Code;

/// Longer than whoever took a row may keep it.
const LEASE_OVER: Duration = Duration::from_secs(11);

/// What goes wrong with one SSO, and between it and the targets.
#[derive(Clone)]
pub(super) struct Weather {
    /// Of each target's calls.
    pub(super) wrong: Arc<[AtomicU8; 2]>,
    /// Jobs and calls of SSO until it stops; it has stopped at 0, and does not if negative.
    pub(super) left: Arc<AtomicI64>,
    /// How many ends of calls are written down too late.
    pub(super) frozen: Arc<AtomicU8>,
    calls: Arc<AtomicU8>,
}

impl Weather {
    pub(super) fn new() -> Self {
        let left = Arc::new(AtomicI64::new(-1));
        Self { wrong: Arc::default(), left, frozen: Arc::default(), calls: Arc::default() }
    }

    pub(super) fn clear(&self) {
        self.wrong.iter().for_each(|wrong| wrong.store(0, Ordering::SeqCst));
        self.left.store(-1, Ordering::SeqCst);
        self.frozen.store(0, Ordering::SeqCst);
    }

    /// From now on some calls of both targets are held up, `wrong` says how; the very next one first of all, of the first of those who race.
    pub(super) fn hold(&self, wrong: u8, nth: u8) {
        self.wrong.iter().for_each(|one| one.store(wrong, Ordering::SeqCst));
        self.calls.store(nth, Ordering::SeqCst);
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// One step of SSO; whether it has stopped before.
    pub(super) fn step(&self) -> bool {
        let count = |left: i64| (left > 0).then(|| left - 1);
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_err() && self.has_stopped()
    }

    /// Whether the next end of a call is one that is written down too late.
    fn is_frozen(&self) -> bool {
        self.frozen.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    pub(super) fn faults(&self) -> onebox::Faults {
        let (calls, jobs) = (self.clone(), self.clone());
        let call = move |path: &str| {
            let target = match path {
                _ if path.starts_with("/social.v1.UserService/") => 0,
                _ if path.starts_with("/blog.v1.UserService/") => 1,
                _ => return Fate::Pass,
            };
            match calls.wrong[target].load(Ordering::SeqCst) {
                _ if calls.step() => Fate::Hang,
                1 => Fate::Refuse(Code::Unavailable),
                2 => Fate::Lose(Code::Unavailable),
                3 => Fate::ActAndHang,
                4 => Fate::Delay(Duration::from_millis(700)),
                5 => Fate::Refuse(Code::Internal),
                // One is answered late, and those that come meanwhile not at all.
                6 if calls.calls.fetch_add(1, Ordering::SeqCst) % 6 == 0 => Fate::Delay(Duration::from_millis(700)),
                6 => Fate::Refuse(Code::Internal),
                // One is overtaken by those that are sent later.
                7 if calls.calls.fetch_add(1, Ordering::SeqCst) % 3 == 0 => Fate::Late(Duration::from_millis(700)),
                // The same, by what is sent when its lease is over.
                8 if calls.calls.fetch_add(1, Ordering::SeqCst) % 3 == 0 => Fate::Late(LEASE_OVER),
                _ => Fate::Pass,
            }
        };
        let job = move |name| match name {
            _ if jobs.step() => db::Fate::Refuse,
            "settle_provisioning" if jobs.is_frozen() => db::Fate::Late(LEASE_OVER),
            _ => db::Fate::Run,
        };
        onebox::Faults { calls: Faults::new(call), databases: [(Part::Sso, db::Faults::new(job))].into() }
    }
}

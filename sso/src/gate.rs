//! How much a target is asked at once, and whether at all: an outage of one neither starves the other nor wears out what is owed to it.
//!
//! In memory, one of each per process: it is about what this process sees of the target.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::model::Target;

/// Calls in a row that came to nothing before a target is held to be down.
const FAILURES: u32 = 5;
/// How often a target that is down is tried, with one row.
const PROBE: Duration = Duration::from_secs(1);
/// Calls that handlers have under way at once. What is over waits for the worker.
const FAST: usize = 64;

/// The gates of all targets.
pub(crate) struct Gates([Gate; 2]);

impl Gates {
    pub(crate) fn new() -> Self {
        Self(Target::ALL.map(|_| Gate::new()))
    }

    pub(crate) fn of(&self, target: Target) -> &Gate {
        match target {
            Target::Social => &self.0[0],
            Target::Blog => &self.0[1],
        }
    }
}

/// What stands before a target.
pub(crate) struct Gate {
    state: Mutex<State>,
    fast: Arc<Semaphore>,
    owed: Notify,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// When the next probe may go; `None` while the target answers.
    probe_at: Option<Instant>,
    /// It answers again, and what was put off meanwhile is to be brought forward.
    recovered: bool,
}

impl Gate {
    fn new() -> Self {
        Self { state: Mutex::default(), fast: Arc::new(Semaphore::new(FAST)), owed: Notify::new() }
    }

    /// Whether the target answers, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.state().probe_at.is_none()
    }

    /// Leave for a handler to call at once. `None`: a worker will.
    pub(crate) fn fast(&self) -> Option<OwnedSemaphorePermit> {
        self.is_open().then(|| Arc::clone(&self.fast).try_acquire_owned().ok()).flatten()
    }

    /// How many rows a worker may take now: `most` of a target that answers, one a second of one that does not.
    pub(crate) fn may_claim(&self, most: i64) -> i64 {
        let (now, mut state) = (Instant::now(), self.state());
        match &mut state.probe_at {
            None => most,
            Some(at) if *at <= now => {
                *at = now + PROBE;
                most.min(1)
            }
            Some(_) => 0,
        }
    }

    /// The target answered, be it to refuse. Returns whether it had been down.
    pub(crate) fn answered(&self) -> bool {
        let mut state = self.state();
        state.failures = 0;
        let was_down = state.probe_at.take().is_some();
        state.recovered |= was_down;
        was_down
    }

    /// A call came to nothing. Returns whether the target is held to be down from now on, and was not before.
    pub(crate) fn failed(&self) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let goes_down = state.failures >= FAILURES && state.probe_at.is_none();
        if goes_down {
            state.probe_at = Some(Instant::now() + PROBE);
        }
        goes_down
    }

    /// Whether it answers again, and what was put off is to be brought forward: said once.
    pub(crate) fn has_recovered(&self) -> bool {
        let mut state = self.state();
        state.probe_at.is_none() && mem::take(&mut state.recovered)
    }

    /// Wakes the worker: something is due.
    pub(crate) fn stir(&self) {
        self.owed.notify_one();
    }

    /// Waits for [`Gate::stir`].
    pub(crate) async fn stirred(&self) {
        self.owed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_down_is_probed_once_a_second() {
        let gate = Gate::new();
        let downs: Vec<bool> = (0..FAILURES + 2).map(|_| gate.failed()).collect();
        assert_eq!(downs.iter().filter(|down| **down).count(), 1, "it goes down once");
        assert!(gate.fast().is_none());
        assert_eq!(gate.may_claim(16), 0);
        tokio::time::advance(PROBE).await;
        assert_eq!((gate.may_claim(16), gate.may_claim(16)), (1, 0));
        gate.failed();
        tokio::time::advance(PROBE).await;
        assert_eq!(gate.may_claim(16), 1);
        assert!(!gate.has_recovered());
        assert!(gate.answered());
        assert!(gate.has_recovered() && gate.fast().is_some());
        assert_eq!(gate.may_claim(16), 16);
        assert!(!gate.has_recovered(), "it said so");
    }

    #[test]
    fn one_answer_in_between_and_it_is_not_down() {
        let gate = Gate::new();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                assert!(!gate.failed());
            }
            assert!(!gate.answered());
        }
        assert!(gate.is_open() && !gate.has_recovered());
    }

    #[test]
    fn handlers_leave_to_the_worker_what_is_too_much_at_once() {
        let gate = Gate::new();
        let held: Vec<_> = std::iter::from_fn(|| gate.fast()).collect();
        assert_eq!(held.len(), FAST);
        drop(held);
        assert!(gate.fast().is_some());
    }
}

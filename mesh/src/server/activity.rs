//! What goes on on one connection: whether there are calls, and whether their answers are taken.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::Limits;
use crate::{deadline::Deadline, shutdown::Shutdown};

/// How wide a bucket of calls is, by when they have to be over; and how long beyond that an answer may be on its way.
const STEP: Duration = Duration::from_secs(5);
/// Steps that are told apart: more than the ten minutes that a contract may allow.
const STEPS: usize = 128;
/// How long the answers of calls that are ended may take to leave.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The calls on a connection. Clones are one.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Calls>);

struct Calls {
    now: AtomicU32,
    ever: AtomicU64,
    since: Instant,
    /// Those of now, by the step in which they have to be over, round and round.
    due: [AtomicU32; STEPS],
    ending: Shutdown,
}

impl Activity {
    pub(crate) fn new() -> Self {
        let due = [const { AtomicU32::new(0) }; STEPS];
        let (now, ever) = (AtomicU32::new(0), AtomicU64::new(0));
        Self(Arc::new(Calls { now, ever, since: Instant::now(), due, ending: Shutdown::manual() }))
    }

    /// A call that has to be over by `deadline`.
    pub(crate) fn begin(&self, deadline: Deadline) -> Active {
        let step = self.0.step(deadline.instant()) % STEPS;
        self.0.now.fetch_add(1, Relaxed);
        self.0.ever.fetch_add(1, Relaxed);
        self.0.due[step].fetch_add(1, Relaxed);
        Active { calls: Arc::clone(&self.0), step }
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> u32 {
        self.0.now.load(Relaxed)
    }

    /// Waits until there was no call for `time`, and at most for as long again.
    pub(crate) async fn idle(&self, time: Duration) {
        loop {
            let before = self.0.ever.load(Relaxed);
            sleep(time).await;
            if self.0.ever.load(Relaxed) == before && self.calls() == 0 {
                return;
            }
        }
    }

    /// Waits until a call is still here one to three steps after it had to be over: its peer does not take the answer. hyper does not ask an answer for more
    /// before the peer has taken what it had, so that the answer cannot end itself.
    pub(crate) async fn overdue(&self) {
        loop {
            sleep(STEP).await;
            let step = self.0.step(Instant::now());
            // Two, lest a look that comes late misses one.
            if (2..4).any(|ago| step >= ago && self.0.due[(step - ago) % STEPS].load(Relaxed) > 0) {
                return;
            }
        }
    }

    /// Sees through the calls of a connection that was told to end: they have the grace, or the time to drain once `stopping` has begun. Those left then
    /// are answered UNAVAILABLE. `None` if not even those answers were taken.
    pub(crate) async fn finish<T>(
        &self,
        served: impl Future<Output = T>,
        limits: &Limits,
        stopping: &Shutdown,
    ) -> Option<T> {
        let mut served = pin!(served);
        let over = async {
            if stopping.unless_begun(sleep(limits.grace)).await.is_none() {
                sleep(limits.drain).await;
            }
        };
        tokio::select! {
            finished = served.as_mut() => return Some(finished),
            () = over => self.0.ending.begin(),
        }
        timeout(LAST_ANSWERS, served).await.ok()
    }
}

impl Calls {
    fn step(&self, instant: Instant) -> usize {
        let seconds = instant.saturating_duration_since(self.since).as_secs();
        usize::try_from(seconds / STEP.as_secs()).unwrap_or_default()
    }
}

/// A call on a connection, until it is dropped.
pub(crate) struct Active {
    calls: Arc<Calls>,
    step: usize,
}

impl Active {
    /// Thrown when the calls on the connection are to end, whatever time they have.
    pub(super) fn ending(&self) -> Shutdown {
        self.calls.ending.clone()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.calls.now.fetch_sub(1, Relaxed);
        self.calls.due[self.step].fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_overdue_soon_after_its_deadline_and_never_before() {
        for seconds in [0, 3, 4, 5, 60, 600] {
            let activity = Activity::new();
            sleep(Duration::from_millis(1234)).await;
            drop(activity.begin(Deadline::after(Duration::from_secs(1))));
            let _call = activity.begin(Deadline::after(Duration::from_secs(seconds)));
            let began = Instant::now();
            timeout(Duration::from_secs(700), activity.overdue()).await.expect("it is overdue");
            let late = began.elapsed() - Duration::from_secs(seconds);
            assert!(STEP <= late && late <= 3 * STEP, "{late:?} after {seconds} s");
        }
    }
}

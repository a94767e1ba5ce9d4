//! The instant by which a call must be over. It is set once where a call begins, only ever shrinks on the way down, and
//! travels as the time that is left (gRPC over HTTP/2, `grpc-timeout`), so clocks need not agree.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Deadline;
}

/// The instant by which a call must be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of work that may take `duration` from now. Capped at a year.
    pub fn after(duration: Duration) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        Self(Instant::now() + duration.min(YEAR))
    }

    /// The time that is left; zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// The same as an instant of tokio's clock.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of the two.
    pub fn min(self, other: Self) -> Self {
        Ord::min(self, other)
    }
}

/// The deadline of the call being handled, set by the server stack. `None` outside a handler, and in tasks that a handler
/// spawned without [`within`].
pub fn current() -> Option<Deadline> {
    CURRENT.try_with(|deadline| *deadline).ok()
}

/// Runs `future` with `deadline` as [`current`]. It stops nothing: calls made inside inherit the deadline. Hand a spawned
/// task its deadline with this.
pub async fn within<F: Future>(deadline: Deadline, future: F) -> F::Output {
    CURRENT.scope(deadline, future).await
}

/// As [`within`], for one poll of a stream.
pub(crate) fn polled<T>(deadline: Deadline, poll: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(deadline, poll)
}

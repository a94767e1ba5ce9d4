//! The retry budget of a channel (gRFC A6, retryThrottling): a service that fails as a whole must not get three times the load.
//! How many may be repeated in lasting trouble is decided by what a success gives back: less than one call in ten. The size
//! decides only how many are repeated at once, before that is known; and of one endpoint that dies among others, that must be all
//! that were on it.
//!
//! A6 lets the bucket run empty. As large as this one is, thousands of calls would have to be answered after an outage before one is
//! repeated again; so it has a floor not far below the half. What a success gives back, and with it lasting trouble, is the same.

use std::sync::atomic::{AtomicU32, Ordering};

/// In tenths of a token: 1000 tokens, the most that A6 allows. 499 calls are repeated at once, and one endpoint of three has some 340 of
/// 1000 calls in flight.
const MAX: u32 = 10_000;
/// 50 tokens below the half, which some 500 successes give back.
const FLOOR: u32 = MAX / 2 - 500;
const PER_FAILURE: u32 = 10;
const PER_SUCCESS: u32 = 1;

/// A bucket of tokens: a failure takes one, down to the floor, a success gives back a tenth, and at half or under nothing is repeated.
#[derive(Debug)]
pub(super) struct Throttle(AtomicU32);

impl Default for Throttle {
    fn default() -> Self {
        Self(AtomicU32::new(MAX))
    }
}

impl Throttle {
    /// Notes a failure that could be repeated. Returns whether it may be.
    pub(super) fn failed(&self) -> bool {
        let take = |tokens: u32| Some((tokens - PER_FAILURE).max(FLOOR));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        before.saturating_sub(PER_FAILURE) > MAX / 2
    }

    /// Whether a failure now could be repeated.
    pub(super) fn allows(&self) -> bool {
        self.0.load(Ordering::Relaxed).saturating_sub(PER_FAILURE) > MAX / 2
    }

    /// What is left.
    pub(super) fn tokens(&self) -> f64 {
        f64::from(self.0.load(Ordering::Relaxed)) / 10.0
    }

    pub(super) fn succeeded(&self) {
        let give = |tokens: u32| Some((tokens + PER_SUCCESS).min(MAX));
        // The closure always gives a value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }
}

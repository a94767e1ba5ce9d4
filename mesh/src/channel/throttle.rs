//! The retry budget of a channel (gRFC A6, retryThrottling): a service in trouble must not get three times the load.

use std::sync::atomic::{AtomicU32, Ordering};

/// In tenths of a token. One lost connection with many calls on it must not empty the bucket, hence 100 tokens.
const MAX: u32 = 1000;
const PER_FAILURE: u32 = 10;
const PER_SUCCESS: u32 = 1;

/// A bucket of tokens: a failure takes one, a success gives back a tenth, and at half or under nothing is repeated.
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
        let take = |tokens: u32| Some(tokens.saturating_sub(PER_FAILURE));
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

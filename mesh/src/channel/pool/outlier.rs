//! Which endpoints do worse than they should (gRFC A50, by consecutive failures and by failure percentage). Counting is
//! free of locks, since every call does it.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;

/// How often all endpoints are judged.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// So many failures in a row eject at once.
const CONSECUTIVE: u32 = 5;
/// So many failures in a hundred calls eject, if there were as many calls as this in an interval. A50's 85 would never be
/// reached without five in a row.
const PERCENTAGE: u32 = 50;
const VOLUME: u32 = 50;
/// An ejection lasts so long, times how often the endpoint was ejected of late.
const BASE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(300);

/// What became of the calls to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Tally {
    consecutive: AtomicU32,
    successes: AtomicU32,
    failures: AtomicU32,
}

impl Tally {
    /// Notes a call. Returns whether the endpoint has failed so often in a row that it is to be ejected.
    pub(super) fn ended(&self, code: Code) -> bool {
        if !blames(code) {
            self.successes.fetch_add(1, Relaxed);
            if self.consecutive.load(Relaxed) > 0 {
                self.consecutive.store(0, Relaxed);
            }
            return false;
        }
        self.failures.fetch_add(1, Relaxed);
        self.consecutive.fetch_add(1, Relaxed) + 1 >= CONSECUTIVE
    }

    /// Whether half the calls since the last time have failed. Counting begins anew.
    fn failing(&self) -> bool {
        let (successes, failures) = (self.successes.swap(0, Relaxed), self.failures.swap(0, Relaxed));
        let volume = successes.saturating_add(failures);
        volume >= VOLUME && u64::from(failures) * 100 >= u64::from(PERCENTAGE) * u64::from(volume)
    }
}

/// Whether the endpoint is to blame, and not what was asked of it.
fn blames(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Internal | Code::Unknown | Code::DataLoss)
}

/// Whether, and how often, an endpoint is out.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    since: Option<Instant>,
    times: u32,
}

impl Ejection {
    pub(super) fn is_out(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn eject(&mut self, now: Instant) {
        self.since = Some(now);
        self.times += 1;
    }

    /// What is done once in an [`INTERVAL`]: an ejection that has lasted ends, and good behaviour is rewarded. Returns whether
    /// the endpoint is to be ejected.
    pub(super) fn judge(&mut self, tally: &Tally, now: Instant) -> bool {
        let failing = tally.failing();
        match self.since {
            Some(since) if now.duration_since(since) >= (BASE * self.times).min(LONGEST) => {
                self.since = None;
                tally.consecutive.store(0, Relaxed);
            }
            None if !failing => self.times = self.times.saturating_sub(1),
            _ => {}
        }
        failing && self.since.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_eject_and_what_was_asked_is_no_failure() {
        let tally = Tally::default();
        let outcomes = |codes: &[Code]| codes.iter().map(|code| tally.ended(*code)).collect::<Vec<_>>();
        assert_eq!(outcomes(&[Code::Unavailable; 4]), [false; 4]);
        assert_eq!(outcomes(&[Code::NotFound, Code::ResourceExhausted]), [false; 2]);
        assert_eq!(
            outcomes(&[Code::Unavailable, Code::Internal, Code::Unknown, Code::DeadlineExceeded, Code::DataLoss]),
            [false, false, false, false, true]
        );
    }

    #[test]
    fn half_the_calls_failing_ejects_once_there_are_enough() {
        let now = Instant::now();
        for (good, bad, out) in [(0, 49, false), (26, 24, false), (25, 25, true), (50, 51, true)] {
            let (tally, mut ejection) = (Tally::default(), Ejection::default());
            for (count, code) in [(good, Code::Ok), (bad, Code::Unavailable)] {
                (0..count).for_each(|_| _ = tally.ended(code));
            }
            assert_eq!(ejection.judge(&tally, now), out, "{good} good, {bad} bad");
            assert!(!ejection.judge(&tally, now), "counted anew");
        }
    }

    #[test]
    fn ejections_grow_longer_to_a_bound_and_are_forgiven() {
        let (tally, mut ejection) = (Tally::default(), Ejection::default());
        let mut now = Instant::now();
        for seconds in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
            ejection.eject(now);
            ejection.judge(&tally, now + Duration::from_secs(seconds) - Duration::from_millis(1));
            assert!(ejection.is_out(), "{seconds}");
            now += Duration::from_secs(seconds);
            ejection.judge(&tally, now);
            assert!(!ejection.is_out(), "{seconds}");
        }
        (0..12).for_each(|_| _ = ejection.judge(&tally, now));
        ejection.eject(now);
        ejection.judge(&tally, now + BASE);
        assert!(!ejection.is_out(), "as if it were the first");
    }
}

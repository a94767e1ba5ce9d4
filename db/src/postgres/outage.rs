//! A server that is away, as all threads of a process see it together: one of them tries now and then, and the others wait for what it finds. Each for itself would dial
//! twenty times a second, and stand in the way of the server that is just coming back.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pause after the first try in vain; twice as long after each further one, up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// How often it is told that the server is still away.
const TELL: Duration = Duration::from_secs(60);

/// Whether the server is away, and when the next try is.
#[derive(Default)]
pub(crate) struct Outage {
    away: Mutex<Option<Away>>,
    over: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct Away {
    since: Instant,
    /// When it was last found to be away.
    found: Instant,
    pause: Duration,
    next: Instant,
    told: Option<Instant>,
}

impl Outage {
    /// Waits for leave to try for a session. `false` if `limit` passes first.
    pub(crate) fn leave(&self, limit: Instant) -> bool {
        let mut away = self.lock();
        loop {
            let now = Instant::now();
            if now >= limit {
                return false;
            }
            let Some(outage) = away.as_mut() else { return true };
            if now >= outage.next {
                // The others wait for this one; not for ever, for a server may say nothing at all.
                outage.next = now + outage.pause;
                return true;
            }
            let wait = outage.next.min(limit).saturating_duration_since(now);
            away = self.over.wait_timeout(away, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A try that began at `tried` came to nothing. Told of when it is the first, and once a minute.
    pub(crate) fn found(&self, tried: Instant, cause: &str) {
        let now = Instant::now();
        let mut away = self.lock();
        let outage = match away.as_mut() {
            Some(outage) => {
                outage.found_again(tried, now, jitter());
                outage
            }
            None => away.insert(Away::found_first(now, jitter())),
        };
        let seconds = outage.since.elapsed().as_secs();
        if outage.is_to_be_told(now) {
            tracing::warn!(%cause, seconds, "no connection to the database");
        } else {
            tracing::debug!(%cause, seconds, "no connection to the database");
        }
    }

    /// There is a session: whoever waits may try at once.
    pub(crate) fn is_over(&self) {
        if let Some(outage) = self.lock().take() {
            tracing::warn!(seconds = outage.since.elapsed().as_secs(), "connected to the database again");
            self.over.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Away {
    fn found_first(now: Instant, jitter: f64) -> Self {
        Self { since: now, found: now, pause: PAUSE, next: now + PAUSE.mul_f64(jitter), told: None }
    }

    /// What was tried before the server was last found away says nothing new.
    fn found_again(&mut self, tried: Instant, now: Instant, jitter: f64) {
        if tried >= self.found {
            self.found = now;
            self.pause = (self.pause * 2).min(LONGEST);
            self.next = now + self.pause.mul_f64(jitter);
        }
    }

    fn is_to_be_told(&mut self, now: Instant) -> bool {
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// A half to one, so that processes which lost the same server do not come back together. Nothing else depends on it.
fn jitter() -> f64 {
    let drawn = u16::try_from(RandomState::new().hash_one(()) % 512).unwrap_or_default();
    0.5 + f64::from(drawn) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_second_and_one_warning_a_minute_is_enough() {
        let began = Instant::now();
        let (mut now, mut tries, mut told) = (began, 1, 0);
        let mut outage = Away::found_first(now, 1.0);
        while now < began + Duration::from_secs(300) {
            told += u32::from(outage.is_to_be_told(now));
            now = outage.next;
            outage.found_again(now, now, 1.0);
            tries += 1;
        }
        assert_eq!(told, 5);
        assert!((300..310).contains(&tries), "{tries}");
    }

    #[test]
    fn tries_at_once_are_one() {
        let began = Instant::now();
        let later = began + Duration::from_millis(5);
        let mut outage = Away::found_first(later, 1.0);
        for _ in 0..8 {
            outage.found_again(began, later, 1.0);
        }
        assert_eq!((outage.pause, outage.next), (PAUSE, later + PAUSE));
    }
}

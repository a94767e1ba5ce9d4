//! Time and chance as inputs: read at the edge, handed down, and owned by tests.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rand::{Rng as _, SeedableRng as _, TryRng as _, rngs::StdRng, rngs::SysRng};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// Tells the time of day.
#[derive(Debug, Clone)]
pub struct Clock(Option<(SystemTime, Instant)>);

impl Clock {
    /// The clock of the operating system.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that reads `start` now and moves with tokio's time: when a test pauses and advances that, it advances this.
    pub fn simulated(start: SystemTime) -> Self {
        Self(Some((start, Instant::now())))
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match self.0 {
            #[allow(clippy::disallowed_methods, reason = "the edge where time is read")]
            None => SystemTime::now(),
            Some((start, origin)) => start + origin.elapsed(),
        }
    }
}

/// Makes random values. Clones share one source.
#[derive(Debug, Clone)]
pub struct Random(Option<Arc<Mutex<StdRng>>>);

impl Random {
    /// The generator of the operating system, fit for keys, tokens and codes.
    pub fn system() -> Self {
        Self(None)
    }

    /// The same values for the same seed, for tests and simulations alone.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// Fills `bytes`.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: nothing a service does is safe without.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Some(seeded) => seeded.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes),
            None => SysRng.try_fill_bytes(bytes).expect("the operating system gives randomness"),
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number from 0 up to, and without, `bound`, each equally likely. 0 if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        // Lemire: the high half of a product is uniform once the draws that favour small values are thrown away.
        let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u128::from(u64::from_le_bytes(self.bytes())) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// A duration within `range`, to the microsecond. Its start if the range is empty.
    pub fn between(&self, range: Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start).as_micros();
        range.start + Duration::from_micros(self.below(u64::try_from(width).unwrap_or(u64::MAX)))
    }
}

/// Random numbers that are no secret, without the lock or the system call that others cost (splitmix64).
#[derive(Debug)]
pub(crate) struct Draws(AtomicU64);

impl Draws {
    pub(crate) fn new(random: &Random) -> Self {
        Self(AtomicU64::new(u64::from_le_bytes(random.bytes())))
    }

    pub(crate) fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(GAMMA, Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// A new id that sorts by when it was made (UUIDv7, RFC 9562).
pub fn uuid_v7(clock: &Clock, random: &Random) -> Uuid {
    let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(millis, &random.bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_moves_with_tokios() {
        let clock = Clock::simulated(UNIX_EPOCH + Duration::from_secs(1));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_millis(2500));
    }

    #[test]
    fn a_seed_gives_one_sequence_and_the_system_none() {
        let draw = |random: Random| (random.bytes::<16>(), random.below(1_000_000));
        assert_eq!(draw(Random::seeded(1)), draw(Random::seeded(1)));
        assert_ne!(draw(Random::seeded(1)), draw(Random::seeded(2)));
        assert_ne!(draw(Random::system()), draw(Random::system()));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_values() {
        let random = Random::seeded(1);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[usize::try_from(random.below(10)).expect("small")] += 1);
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        let second = Duration::from_secs(1);
        assert!((0..1000).all(|_| (second..second * 2).contains(&random.between(second..second * 2))));
        assert_eq!(random.between(second..second), second);
    }

    #[tokio::test(start_paused = true)]
    async fn ids_sort_by_time() {
        let (clock, random) = (Clock::simulated(UNIX_EPOCH + Duration::from_secs(1_800_000_000)), Random::seeded(1));
        let first = uuid_v7(&clock, &random);
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = uuid_v7(&clock, &random);
        assert!(first < second);
        assert_eq!((first.get_version_num(), second.get_version_num()), (7, 7));
    }
}

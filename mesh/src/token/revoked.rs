//! Sessions that ended before their access tokens did.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::SystemTime,
};

use uuid::Uuid;

/// The most sessions remembered: some 4 MB.
const CAPACITY: usize = 100_000;
/// With fewer, none is looked for that may be forgotten.
const FEW: usize = 1024;

/// The sessions by id, each until its last access token is dead.
#[derive(Debug, Default)]
pub(super) struct Revoked(RwLock<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    until: HashMap<Uuid, SystemTime>,
    /// Stands for all those that there was no room for: an access token that ends until then might be one of theirs.
    floor: Option<SystemTime>,
    /// At how many to look for those that are over.
    crowded: usize,
}

impl Revoked {
    /// Whether an access token of `session` that ends at `expires_at` is to be refused.
    pub(super) fn covers(&self, session: Uuid, expires_at: SystemTime) -> bool {
        let sessions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sessions.until.contains_key(&session) || sessions.floor.is_some_and(|floor| expires_at <= floor)
    }

    /// Refuses `session`, whose last access token is dead by `until`.
    pub(super) fn insert(&self, session: Uuid, until: SystemTime, now: SystemTime) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(session, until, now);
    }
}

impl Sessions {
    fn insert(&mut self, session: Uuid, until: SystemTime, now: SystemTime) {
        if self.until.len() >= self.crowded.max(FEW) {
            self.until.retain(|_, end| *end > now);
            if self.until.len() >= CAPACITY {
                self.condense();
            }
            self.crowded = (2 * self.until.len()).min(CAPACITY);
        }
        self.until.insert(session, until);
    }

    /// Makes room without letting one revoked token live: the half that ends first goes, and with it every access token that ends as early, whosever
    /// it is. Its owner refreshes it, which somebody whose session has ended cannot.
    fn condense(&mut self) {
        let mut ends: Vec<_> = self.until.values().copied().collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let floor = self.floor.max(Some(*median));
        self.until.retain(|_, end| Some(*end) > floor);
        self.floor = floor;
        tracing::warn!(kept = self.until.len(), "so many sessions ended at once that access tokens are refused early");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_over_makes_room() {
        let revoked = Revoked::default();
        for session in 0..10 * FEW as u128 {
            let now = u64::try_from(session).expect("small");
            revoked.insert(Uuid::from_u128(session), at(now + 100), at(now));
        }
        let sessions = revoked.0.read().expect("whole");
        assert!(sessions.until.len() <= FEW && sessions.floor.is_none(), "{}", sessions.until.len());
    }

    #[test]
    fn more_than_there_is_room_for_are_refused_all_the_same() {
        let revoked = Revoked::default();
        let count = CAPACITY as u128 * 5 / 2;
        let end = |session: u128| at(1000 + u64::try_from(session).expect("small") / 1000);
        for session in 0..count {
            revoked.insert(Uuid::from_u128(session), end(session), at(0));
            assert!(revoked.0.read().expect("whole").until.len() <= CAPACITY);
        }
        for session in 0..count {
            assert!(revoked.covers(Uuid::from_u128(session), end(session)), "{session}");
        }
        let (last, other) = (end(count - 1) + Duration::from_secs(1), Uuid::from_u128(count));
        assert!(!revoked.covers(other, last), "a token that outlives them is nobody's of theirs");
        assert!(revoked.covers(other, end(0)), "one that does not may be");
    }
}

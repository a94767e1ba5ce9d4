//! Counts of tries, and the rules they are held to: pure, over a clock that is handed in.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::sso::DAY;

/// Pauses after the fifth miss, the sixth and so on, in minutes; the last is that of all further ones.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];

/// Whom or what a tally is of: a keyed digest, so that no table holds who came from where.
pub(crate) type Subject = [u8; 32];

/// Tries so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) tries: i32,
    /// When the window began; for an account, the last try.
    pub(crate) since: SystemTime,
    /// When the next try is free.
    pub(crate) free_at: SystemTime,
}

/// What a tally is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// So many misses before the pauses.
    Account(i32),
    /// So many tries in so long.
    Window(i32, Duration),
}

impl Rule {
    /// The tally with one more try; or how long to wait for one.
    pub(crate) fn take(self, tally: Tally, now: SystemTime) -> Result<Tally, Duration> {
        if let Ok(wait) = tally.free_at.duration_since(now)
            && !wait.is_zero()
        {
            return Err(wait);
        }
        match self {
            Self::Account(free) => {
                let tries = if tally.since + DAY <= now { 1 } else { tally.tries.saturating_add(1) };
                let pause = usize::try_from(tries - free).map(|over| PAUSES[over.min(PAUSES.len() - 1)]);
                let free_at = pause.map_or(UNIX_EPOCH, |minutes| now + Duration::from_secs(minutes * 60));
                Ok(Tally { tries, since: now, free_at })
            }
            Self::Window(most, width) => {
                let fresh = tally.since + width <= now;
                let (tries, since) = if fresh { (1, now) } else { (tally.tries + 1, tally.since) };
                let free_at = if tries >= most { since + width } else { UNIX_EPOCH };
                Ok(Tally { tries, since, free_at })
            }
        }
    }

    /// The tally as if a try had not been.
    pub(crate) fn give_back(tally: Tally) -> Tally {
        Tally { tries: (tally.tries - 1).max(0), free_at: UNIX_EPOCH, ..tally }
    }

    /// When the tally need not be kept any longer.
    pub(crate) fn kept_until(self, tally: &Tally) -> SystemTime {
        match self {
            Self::Account(_) => tally.since + DAY,
            Self::Window(_, width) => tally.since + width,
        }
    }
}

/// A whole IPv4 address, but the first half of an IPv6 one: its owner has all of the second to choose from.
pub(crate) fn network(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Tally = Tally { tries: 0, since: UNIX_EPOCH, free_at: UNIX_EPOCH };

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    #[test]
    fn misses_of_an_account_cost_ever_longer_pauses() {
        let (rule, mut now, mut tally) = (Rule::Account(5), UNIX_EPOCH + 100 * DAY, NONE);
        for _ in 0..5 {
            tally = rule.take(tally, now).unwrap();
        }
        for pause in [1, 2, 4, 8, 15, 15, 15] {
            assert_eq!(rule.take(tally, now), Err(minutes(pause)));
            assert_eq!(rule.take(tally, now + minutes(pause) - Duration::from_secs(1)), Err(Duration::from_secs(1)));
            now += minutes(pause);
            tally = rule.take(tally, now).unwrap();
        }
        assert_eq!(rule.take(tally, now + DAY).unwrap().tries, 1, "a day without a try forgives");
    }

    #[test]
    fn a_window_lets_so_many_through_and_begins_anew() {
        let (rule, now, mut tally) = (Rule::Window(3, minutes(1)), UNIX_EPOCH + 100 * DAY, NONE);
        for second in 0..3 {
            tally = rule.take(tally, now + Duration::from_secs(second)).unwrap();
        }
        assert_eq!(rule.take(tally, now + Duration::from_secs(10)), Err(Duration::from_secs(50)));
        assert_eq!(rule.take(tally, now + minutes(1)).unwrap().tries, 1);
        assert_eq!(rule.take(Rule::give_back(tally), now + Duration::from_secs(10)).unwrap().tries, 3);
    }

    #[test]
    fn an_ipv6_network_is_its_first_half() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:ffff::1"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("203.0.113.1", "203.0.113.2"));
    }
}

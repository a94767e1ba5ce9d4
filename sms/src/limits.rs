//! How often a code may be sent and guessed: pure rules over what was done before.

use std::time::Duration;

use db::At;
use diesel::Queryable;

/// The window of the hourly limit.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The window of the daily limits.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The limits in force. Made by [`crate::config::LimitsConfig`], which bounds each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) code_lifetime: Duration,
    /// The wait after the first send, the second, and so on; the last stands for all that follow. Never empty.
    pub(crate) cool_downs: Vec<Duration>,
    pub(crate) sends_per_verification: u16,
    pub(crate) sends_per_hour: u16,
    pub(crate) sends_per_day: u16,
    pub(crate) guesses_per_verification: u16,
    pub(crate) guesses_per_day: u16,
    pub(crate) notices_per_day: u16,
}

/// A send to a destination, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub(crate) struct PastSend {
    pub(crate) at: At,
    pub(crate) cool_down_ends: At,
}

/// Leave to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    /// When the cool-down after this send is over.
    pub(crate) cool_down_ends: At,
    /// The earliest time at which the destination may be sent to again: the cool-down and the windows together.
    pub(crate) resend_after: At,
}

/// Why a message may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The cool-down is not over.
    TooSoon(Duration),
    /// The destination has had all its messages of an hour or a day.
    DestinationSpent(Duration),
    /// The verification has had all its messages; waiting does not help.
    VerificationSpent,
}

impl Limits {
    /// How many past sends, newest first and no older than a day, [`Limits::admit`] wants to see.
    pub(crate) fn sends_looked_at(&self) -> u16 {
        self.sends_per_hour.max(self.sends_per_day)
    }

    /// Whether a verification that has had `sends` messages may have another at `now`, when `past` are the sends to its
    /// destination, newest first, from whatever verification: else a fresh verification would be a way around the limits.
    pub(crate) fn admit(&self, now: At, sends: u16, past: &[PastSend]) -> Result<Leave, Refusal> {
        if sends >= self.sends_per_verification {
            return Err(Refusal::VerificationSpent);
        }
        let cool = past.iter().map(|send| send.cool_down_ends).max().unwrap_or(now);
        let times: Vec<At> = past.iter().map(|send| send.at).collect();
        let open = self.windows_open(&times).unwrap_or(now);
        if open > now {
            return Err(Refusal::DestinationSpent(open.max(cool).since(now)));
        }
        if cool > now {
            return Err(Refusal::TooSoon(cool.since(now)));
        }
        let cool_down_ends = now.plus(self.cool_down(now, sends, &times));
        let with_this: Vec<At> = [now].into_iter().chain(times).collect();
        let resend_after = self.windows_open(&with_this).map_or(cool_down_ends, |open| open.max(cool_down_ends));
        Ok(Leave { cool_down_ends, resend_after })
    }

    /// The wait after a send that is the next of its verification and of its destination's hour, whichever is more.
    fn cool_down(&self, now: At, sends: u16, times: &[At]) -> Duration {
        let in_hour = times.iter().filter(|at| at.plus(HOUR) > now).count();
        let step = in_hour.max(usize::from(sends)).min(self.cool_downs.len().saturating_sub(1));
        self.cool_downs.get(step).copied().unwrap_or(HOUR)
    }

    /// When both windows have room again; `None` if neither was ever full.
    fn windows_open(&self, newest_first: &[At]) -> Option<At> {
        let hour = window_opens(newest_first, self.sends_per_hour, HOUR);
        hour.max(window_opens(newest_first, self.sends_per_day, DAY))
    }

    /// How long a destination must wait for another guess, when `newest_first` are its counted guesses of a day. `None`: it
    /// need not.
    pub(crate) fn guess_wait(&self, now: At, newest_first: &[At]) -> Option<Duration> {
        let open = window_opens(newest_first, self.guesses_per_day, DAY)?;
        (open > now).then(|| open.since(now))
    }

    /// The same of another message, when `newest_first` are those of the same notice within a day.
    pub(crate) fn notice_wait(&self, now: At, newest_first: &[At]) -> Option<Duration> {
        let open = window_opens(newest_first, self.notices_per_day, DAY)?;
        (open > now).then(|| open.since(now))
    }

    /// Wrong codes that may still be given after `guesses`.
    pub(crate) fn guesses_left(&self, guesses: u16) -> u16 {
        self.guesses_per_verification.saturating_sub(guesses)
    }
}

/// When a window of `width` that holds `most` has room again: when the `most`-th newest leaves it.
fn window_opens(newest_first: &[At], most: u16, width: Duration) -> Option<At> {
    let oldest = usize::from(most).checked_sub(1)?;
    newest_first.get(oldest).map(|at| at.plus(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> At {
        At(seconds * 1_000_000)
    }

    fn limits() -> Limits {
        Limits {
            code_lifetime: Duration::from_secs(300),
            cool_downs: [30, 60, 120, 300].map(Duration::from_secs).to_vec(),
            sends_per_verification: 5,
            sends_per_hour: 5,
            sends_per_day: 10,
            guesses_per_verification: 5,
            guesses_per_day: 15,
            notices_per_day: 10,
        }
    }

    /// Sends at each of `seconds`, one verification each `per` sends, taking whatever leave is given.
    fn play(seconds: &[i64], sends_of_verification: u16) -> (Vec<PastSend>, Vec<Result<Leave, Refusal>>) {
        let (mut past, mut leaves) = (Vec::new(), Vec::new());
        for (index, second) in seconds.iter().enumerate() {
            let sends = u16::try_from(index).expect("few") % sends_of_verification;
            let leave = limits().admit(at(*second), sends, &past);
            if let Ok(leave) = leave {
                past.insert(0, PastSend { at: at(*second), cool_down_ends: leave.cool_down_ends });
            }
            leaves.push(leave);
        }
        (past, leaves)
    }

    #[test]
    fn cool_downs_grow_with_the_sends_of_a_verification() {
        let (_, leaves) = play(&[0, 30, 90, 210], 5);
        let ends: Vec<_> = leaves.into_iter().map(|leave| leave.expect("in time").cool_down_ends).collect();
        assert_eq!(ends, [30, 90, 210, 510].map(at));
    }

    #[test]
    fn a_microsecond_before_the_cool_down_is_over_is_too_soon() {
        let past = [PastSend { at: at(0), cool_down_ends: at(30) }];
        assert_eq!(limits().admit(At(at(30).0 - 1), 1, &past), Err(Refusal::TooSoon(Duration::from_micros(1))));
        assert!(limits().admit(at(30), 1, &past).is_ok());
    }

    #[test]
    fn a_fresh_verification_inherits_the_cool_down_of_its_destination() {
        let (_, leaves) = play(&[0, 29, 30, 89, 90], 1);
        assert!(leaves[0].is_ok() && leaves[2].is_ok() && leaves[4].is_ok());
        assert_eq!(leaves[1], Err(Refusal::TooSoon(Duration::from_secs(1))));
        assert_eq!(leaves[3], Err(Refusal::TooSoon(Duration::from_secs(1))));
    }

    #[test]
    fn cool_downs_do_not_shrink_when_a_verification_outlives_the_hour() {
        let leave = limits().admit(at(7200), 2, &[PastSend { at: at(0), cool_down_ends: at(60) }]).expect("in time");
        assert_eq!(leave.cool_down_ends, at(7200 + 120));
    }

    #[test]
    fn the_sixth_send_of_a_verification_is_refused_for_good() {
        assert_eq!(limits().admit(at(0), 5, &[]), Err(Refusal::VerificationSpent));
    }

    #[test]
    fn the_sixth_send_of_an_hour_waits_for_the_first_to_be_an_hour_old() {
        let (past, leaves) = play(&[0, 100, 300, 700, 1100], 1);
        assert_eq!(leaves[4].expect("the fifth").resend_after, at(3600), "the answer says so already");
        let wait = Duration::from_secs(3600 - 1500);
        assert_eq!(limits().admit(at(1500), 0, &past), Err(Refusal::DestinationSpent(wait)));
        assert!(limits().admit(at(3600), 0, &past).is_ok());
    }

    #[test]
    fn the_eleventh_send_of_a_day_waits_for_the_first_to_be_a_day_old() {
        let hours: Vec<i64> = (0..10).map(|hour| hour * 3600).collect();
        let (past, leaves) = play(&hours, 1);
        assert!(leaves.iter().all(Result::is_ok));
        let wait = Duration::from_secs(14 * 3600);
        assert_eq!(limits().admit(at(10 * 3600), 0, &past), Err(Refusal::DestinationSpent(wait)));
        assert!(limits().admit(at(24 * 3600), 0, &past).is_ok());
    }

    #[test]
    fn the_sixteenth_guess_of_a_day_waits() {
        let guesses: Vec<At> = (0..15).rev().map(|minute| at(minute * 60)).collect();
        let now = at(3600);
        assert_eq!(limits().guess_wait(now, &guesses[1..]), None);
        assert_eq!(limits().guess_wait(now, &guesses), Some(Duration::from_secs(23 * 3600)));
        assert_eq!(limits().guess_wait(at(24 * 3600), &guesses), None);
    }
}

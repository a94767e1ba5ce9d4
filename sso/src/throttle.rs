//! How often passwords may be tried, and codes that sign in. A try is counted before anything is compared, so that guesses at once are no more than
//! guesses in turn; what is right takes its count back, whatever becomes of the call, and so does a try that was never compared.
//!
//! Three rules, all of them over with time alone: for whom (after five misses 1, 2, 4, 8, 15 minutes), from which network, and both. Who is tried is
//! an identifier as it was typed, whether it has an account or not. An owner who signed in from a network before has a tally of their own
//! there: what strangers miss elsewhere does not shut them out.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use db::Conn;
use proto::sso::v1::ErrorReason;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    config,
    digest::keyed,
    error::Error,
    identifier::Identifier,
    model::Purpose,
    sso::{DAY, Sso},
    store,
};

/// Pauses after the fifth miss, the sixth and so on, in minutes; the last is that of all further ones.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];
/// The window of the other two rules.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a network where an owner signed in is known as theirs.
const FAMILIAR: Duration = Duration::from_secs(30 * 24 * 3600);

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
enum Rule {
    /// So many misses before the pauses.
    Account(i32),
    /// So many tries a minute.
    Window(i32),
}

impl Rule {
    /// The tally with one more try; or how long to wait for one.
    fn take(self, tally: Tally, now: SystemTime) -> Result<Tally, Duration> {
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
            Self::Window(most) => {
                let fresh = tally.since + WINDOW <= now;
                let (tries, since) = if fresh { (1, now) } else { (tally.tries + 1, tally.since) };
                let free_at = if tries >= most { since + WINDOW } else { UNIX_EPOCH };
                Ok(Tally { tries, since, free_at })
            }
        }
    }

    /// The tally as if a try had not been.
    fn give_back(tally: Tally) -> Tally {
        Tally { tries: (tally.tries - 1).max(0), free_at: UNIX_EPOCH, ..tally }
    }

    fn kept_until(self, tally: &Tally) -> SystemTime {
        tally.since + if matches!(self, Self::Account(_)) { DAY } else { WINDOW }
    }
}

/// For whom something is tried.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// An identifier, as it was typed into a sign-in.
    Identifier(Identifier),
    /// A user who is signed in already.
    User(Uuid),
    /// An identifier for which a code is asked, or given, and what the code is for. SMS counts what was wrong for it: here its networks alone are counted.
    Code(Identifier, Purpose),
}

impl Who {
    /// What is recorded of a try that is refused. Whose identifier it is was not looked up.
    fn refused(&self) -> Event {
        match self {
            Self::Code(_, Purpose::ResetPassword) => Event::new(Kind::ResetRefused),
            Self::Identifier(_) | Self::Code(..) => Event::new(Kind::SignInRefused),
            Self::User(id) => Event::new(Kind::PasswordRefused).of(*id),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Identifier(identifier) | Self::Code(identifier, _) => identifier.value().as_bytes(),
            Self::User(id) => id.as_bytes(),
        }
    }
}

/// A try that was counted. The default is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket {
    account: Option<Subject>,
    windows: Vec<(Rule, Subject)>,
    familiar: Option<Subject>,
}

/// Counts a try.
///
/// # Errors
/// [`Error::Limited`] if it is one too many: then nothing is counted.
pub(crate) async fn take(sso: &Sso, who: &Who, address: Option<IpAddr>) -> Result<Ticket, Error> {
    let desk = Desk { key: sso.throttle_key, settings: sso.throttle.clone(), now: sso.clock.now() };
    let event = who.refused().because(Reason::Throttled).from(address);
    let (who, place) = (who.clone(), address.map(network));
    let taken = sso.db.write("count_try", move |c| desk.take(c, &who, place.as_deref())).await;
    taken.inspect_err(|error| {
        if matches!(error, Error::Limited { .. }) {
            sso.audit.count(event);
        }
    })
}

struct Desk {
    key: [u8; 32],
    settings: config::Throttle,
    now: SystemTime,
}

impl Desk {
    fn take(&self, c: &mut Conn, who: &Who, place: Option<&[u8]>) -> Result<Ticket, Error> {
        let (by_password, who, now) = (!matches!(who, Who::Code(..)), who.bytes(), self.now);
        let familiar = place.map(|place| keyed(&self.key, &[b"familiar", who, place]));
        let at_home = match &familiar {
            Some(subject) => store::tallies::is_kept(c, subject, now)?,
            None => false,
        };
        let account = match place {
            Some(place) if at_home => keyed(&self.key, &[b"account", who, place]),
            _ => keyed(&self.key, &[b"account", who]),
        };
        let mut windows = Vec::new();
        if let Some(place) = place {
            windows.push((Rule::Window(self.settings.network_per_minute), keyed(&self.key, &[b"network", place])));
            windows.push((Rule::Window(self.settings.pair_per_minute), keyed(&self.key, &[b"pair", who, place])));
        }
        let account = by_password.then_some(account);
        let rule = Rule::Account(self.settings.account_misses);
        let mut all: Vec<_> = windows.iter().copied().chain(account.map(|account| (rule, account))).collect();
        // One order for everybody, so that no two wait for each other.
        all.sort_by_key(|(_, subject)| *subject);
        let mut wait = Duration::ZERO;
        for (rule, subject) in all {
            match rule.take(store::tallies::lock(c, &subject)?, now) {
                Ok(tally) => drop(store::tallies::keep(c, &subject, &tally, rule.kept_until(&tally))?),
                Err(longer) => wait = wait.max(longer),
            }
        }
        if wait.is_zero() {
            return Ok(Ticket { account, windows, familiar });
        }
        Err(Error::Limited { reason: ErrorReason::SignInThrottled, retry_after: Some(wait) })
    }
}

impl Ticket {
    /// Password or code was right: the account's misses are forgotten, the network's count is given back, and is the owner's from now on.
    pub(crate) fn right(&self, c: &mut Conn, now: SystemTime) -> Result<(), Error> {
        if let Some(account) = &self.account {
            store::tallies::remove(c, account)?;
        }
        self.give_back(c, None)?;
        if let Some(familiar) = &self.familiar {
            store::tallies::note(c, familiar, now + FAMILIAR)?;
        }
        Ok(())
    }

    /// What the try was made for. If it came to nothing, because nothing was compared, or because what was right was refused for something else, it is as if it had
    /// not been tried.
    ///
    /// # Errors
    /// Those of `done`.
    pub(crate) async fn settle<T>(&self, sso: &Sso, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() && !(self.windows.is_empty() && self.account.is_none()) {
            let ticket = self.clone();
            let given = sso.db.write("uncount_try", move |c| ticket.give_back(c, ticket.account));
            if let Err(error) = given.await {
                tracing::info!(%error, "a try that came to nothing stays counted");
            }
        }
        done
    }

    fn give_back(&self, c: &mut Conn, account: Option<Subject>) -> Result<(), Error> {
        let account = account.map(|subject| (Rule::Account(0), subject));
        let mut all: Vec<_> = self.windows.iter().copied().chain(account).collect();
        all.sort_by_key(|(_, subject)| *subject);
        for (rule, subject) in all {
            let tally = Rule::give_back(store::tallies::lock(c, &subject)?);
            store::tallies::keep(c, &subject, &tally, rule.kept_until(&tally))?;
        }
        Ok(())
    }
}

/// Forgets what was missed for an identifier whose owner has just proven to be it.
pub(crate) fn forgive(c: &mut Conn, key: &[u8; 32], identifier: &Identifier) -> Result<(), Error> {
    store::tallies::remove(c, &keyed(key, &[b"account", identifier.value().as_bytes()]))?;
    Ok(())
}

/// A whole IPv4 address, but the first half of an IPv6 one: its owner has all of the second to choose from.
fn network(address: IpAddr) -> Vec<u8> {
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
        let (rule, now, mut tally) = (Rule::Window(3), UNIX_EPOCH + 100 * DAY, NONE);
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

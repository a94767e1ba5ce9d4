//! How often passwords and codes may be tried, and how many may sign up. A try is counted before anything is compared, so that guesses at once are no more
//! than guesses in turn; what is right takes its count back, whatever becomes of the call, and so does a try that was never compared.
//!
//! Three rules, all of them over with time alone: for whom (after five misses 1, 2, 4, 8, 15 minutes), from which network, and both. Who is tried is
//! an identifier as it was typed, whether it has an account or not. An owner who signed in from a network before has a tally of their own
//! there: what strangers miss elsewhere does not shut them out.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
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
    sso::Sso,
    store,
    tally::{Rule, Subject, Tally, network},
};

/// The window of the other two rules.
const MINUTE: Duration = Duration::from_secs(60);
/// That of sign-ups.
const HOUR: Duration = Duration::from_secs(3600);
/// How long a network where an owner signed in is known as theirs.
const FAMILIAR: Duration = Duration::from_secs(30 * 24 * 3600);

/// For whom something is tried.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// An identifier, as it was typed into a sign-in.
    Identifier(Identifier),
    /// A user who is signed in already.
    User(Uuid),
    /// An identifier for which a code is asked, or given, and what is recorded if it is refused. SMS counts what was sent to it, and what was wrong: here its
    /// networks alone are counted.
    Code(Identifier, Kind),
}

impl Who {
    /// What is recorded of a try that is refused. Whose identifier it is was not looked up.
    fn refused(&self) -> Event {
        match self {
            Self::Code(_, kind) => Event::new(*kind),
            Self::Identifier(_) => Event::new(Kind::SignInRefused),
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
    if matches!(who, Who::Code(..)) && address.is_none() {
        return Ok(Ticket::default());
    }
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
            windows
                .push((Rule::Window(self.settings.network_per_minute, MINUTE), keyed(&self.key, &[b"network", place])));
            windows
                .push((Rule::Window(self.settings.pair_per_minute, MINUTE), keyed(&self.key, &[b"pair", who, place])));
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
    /// Password or code was right: the account's misses are forgotten, the network's count is given back, and is the owner's from now on. The last
    /// thing in its transaction, for tallies are locked after all else.
    pub(crate) fn right(&self, c: &mut Conn, now: SystemTime) -> Result<(), Error> {
        let mut changes: Vec<_> =
            self.windows.iter().map(|(rule, subject)| (*subject, Change::GiveBack(*rule))).collect();
        changes.extend(self.account.map(|subject| (subject, Change::Forget)));
        changes.extend(self.familiar.map(|subject| (subject, Change::Note(now + FAMILIAR))));
        Change::make(c, changes)
    }

    /// The same ticket, for a code that proves an identifier without a password: what was missed for the identifier is forgotten, too.
    pub(crate) fn forgiving(&self, key: &[u8; 32], identifier: &Identifier) -> Self {
        Self { account: Some(keyed(key, &[b"account", identifier.value().as_bytes()])), ..self.clone() }
    }

    /// What the try was made for. If it came to nothing, because nothing was compared, or because what was right was refused for something else, it is as if it had
    /// not been tried.
    ///
    /// # Errors
    /// Those of `done`.
    pub(crate) async fn settle<T>(&self, sso: &Sso, done: Result<T, Error>) -> Result<T, Error> {
        if done.is_err() && !(self.windows.is_empty() && self.account.is_none()) {
            let ticket = self.clone();
            let given = sso.db.write("uncount_try", move |c| ticket.give_back(c));
            if let Err(error) = given.await {
                tracing::info!(%error, "a try that came to nothing stays counted");
            }
        }
        done
    }

    /// What was tried comes to nothing: it is as if it had not been, and nothing is forgotten. The last thing in its transaction, as [`Self::right`] is.
    pub(crate) fn give_back(&self, c: &mut Conn) -> Result<(), Error> {
        let account = self.account.map(|subject| (Rule::Account(0), subject));
        let all = self.windows.iter().copied().chain(account);
        Change::make(c, all.map(|(rule, subject)| (subject, Change::GiveBack(rule))).collect())
    }
}

/// What becomes of a tally after a try.
enum Change {
    GiveBack(Rule),
    Forget,
    Note(SystemTime),
}

impl Change {
    /// In the order of the subjects' bytes, the same for everybody: so no two wait for each other.
    fn make(c: &mut Conn, mut changes: Vec<(Subject, Self)>) -> Result<(), Error> {
        changes.sort_by_key(|(subject, _)| *subject);
        for (subject, change) in changes {
            match change {
                Self::GiveBack(rule) => {
                    let tally = Rule::give_back(store::tallies::lock(c, &subject)?);
                    store::tallies::keep(c, &subject, &tally, rule.kept_until(&tally))?;
                }
                Self::Forget => drop(store::tallies::remove(c, &subject)?),
                Self::Note(until) => store::tallies::note(c, &subject, until)?,
            }
        }
        Ok(())
    }
}

/// The sign-ups of one network. Each is counted in its own commit, so that a repeat is none; one too many is refused before its password is hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignUps {
    rule: Rule,
    subject: Subject,
    now: SystemTime,
}

impl SignUps {
    /// Those from where an address is; of calls in memory nothing is counted.
    pub(crate) fn from(sso: &Sso, address: Option<IpAddr>) -> Option<Self> {
        let subject = keyed(&sso.throttle_key, &[b"sign_ups", &network(address?)]);
        Some(Self { rule: Rule::Window(sso.throttle.sign_ups_per_hour, HOUR), subject, now: sso.clock.now() })
    }

    /// Looks whether there may be another.
    ///
    /// # Errors
    /// [`Error::Limited`].
    pub(crate) fn look(&self, c: &mut Conn) -> Result<(), Error> {
        store::tallies::find(c, &self.subject)?.map_or(Ok(()), |tally| self.next(tally).map(drop))
    }

    /// Counts another.
    ///
    /// # Errors
    /// [`Error::Limited`] if it is one too many.
    pub(crate) fn count(&self, c: &mut Conn) -> Result<(), Error> {
        let tally = self.next(store::tallies::lock(c, &self.subject)?)?;
        store::tallies::keep(c, &self.subject, &tally, self.rule.kept_until(&tally))?;
        Ok(())
    }

    fn next(&self, tally: Tally) -> Result<Tally, Error> {
        let limited = |wait| Error::Limited { reason: ErrorReason::SignUpThrottled, retry_after: Some(wait) };
        self.rule.take(tally, self.now).map_err(limited)
    }
}

#[cfg(test)]
mod tests;

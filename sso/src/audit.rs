//! What SSO decides, and why, for operators to look at: an append-only table that names users by their ids alone.
//!
//! What is committed tells of itself in the same commit ([`Audit::record`]). What is refused commits nothing, and anybody can be refused as often as they like: that is
//! counted in memory ([`Audit::count`]), the same for those who have an account and those who have none, and written down once a minute, summed. So a
//! refusal costs no write that could be timed, a flood costs 512 rows a minute at most, and a process that is killed forgets at most the last minute's refusals.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use db::{Conn, Db};
use mesh::{Clock, Random, Shutdown, uuid_v7};
pub(crate) use proto::sso::v1::{AuditEventKind as Kind, AuditReason as Reason};
use tokio::time;
use uuid::Uuid;

use crate::{error::Error, model::Target, origin, sso::Sso, store};

/// How often what was counted is written down.
const PERIOD: Duration = Duration::from_secs(60);
/// Sums that are held apart; beyond, those of a kind and reason are one.
const SUMS: usize = 512;

/// A decision. What is alike is equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) reason: Reason,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) operator: String,
    /// Coarse, as [`origin::network`] has it.
    pub(crate) network: String,
}

impl Event {
    /// Something decided, about nobody in particular.
    pub(crate) fn new(kind: Kind) -> Self {
        let (operator, network) = (String::new(), String::new());
        Self { kind, reason: Reason::Unspecified, user_id: None, session_id: None, operator, network }
    }

    /// Why.
    #[must_use]
    pub(crate) fn because(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }

    /// About whom, if anybody is known.
    #[must_use]
    pub(crate) fn of(self, user_id: impl Into<Option<Uuid>>) -> Self {
        Self { user_id: user_id.into(), ..self }
    }

    /// Of which session.
    #[must_use]
    pub(crate) fn session(self, id: Uuid) -> Self {
        Self { session_id: Some(id), ..self }
    }

    /// By which operator.
    #[must_use]
    pub(crate) fn by(self, operator: &str) -> Self {
        Self { operator: operator.to_owned(), ..self }
    }

    /// From where.
    #[must_use]
    pub(crate) fn from(self, address: Option<IpAddr>) -> Self {
        Self { network: origin::network(address), ..self }
    }
}

/// An event as it was written down.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) id: Uuid,
    pub(crate) event: Event,
    pub(crate) count: i64,
    pub(crate) at: SystemTime,
}

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) user_id: Option<Uuid>,
    /// None is all.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) from: Option<SystemTime>,
    pub(crate) until: Option<SystemTime>,
}

impl Target {
    /// That it is about this target.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Social => Reason::Social,
            Self::Blog => Reason::Blog,
        }
    }
}

/// Records decisions. Clones share what was counted.
#[derive(Clone)]
pub(crate) struct Audit {
    clock: Clock,
    random: Random,
    sums: Arc<Mutex<BTreeMap<Event, i64>>>,
}

impl Audit {
    pub(crate) fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, sums: Arc::default() }
    }

    /// Writes an event into the transaction that makes it so.
    ///
    /// # Errors
    /// Of the database.
    pub(crate) fn record(&self, c: &mut Conn, event: Event) -> Result<(), Error> {
        self.record_all(c, event, 1)
    }

    /// The same of so many at once.
    ///
    /// # Errors
    /// Of the database.
    pub(crate) fn record_all(&self, c: &mut Conn, event: Event, count: i64) -> Result<(), Error> {
        Ok(store::audit::insert(c, &self.recorded(event, count))?)
    }

    /// Counts an event that commits nothing, such as a refusal.
    pub(crate) fn count(&self, event: Event) {
        self.add(event, 1);
    }

    fn add(&self, event: Event, count: i64) {
        let mut sums = self.sums();
        // What is too much to be held apart is still counted.
        let full = sums.len() >= SUMS && !sums.contains_key(&event);
        let event = if full { Event::new(event.kind).because(event.reason) } else { event };
        let sum = sums.entry(event).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Writes down what was counted, if that is possible: else it stays counted. An outcome that is unknown may be told twice, which is better than not at all. In a task
    /// of its own, for a handler that is dropped would take along what it has taken.
    pub(crate) async fn flush(&self, db: &Db) {
        let (this, db) = (self.clone(), db.clone());
        // A panic has said so already.
        let _ = tokio::spawn(async move { this.write_down(&db).await }).await;
    }

    async fn write_down(&self, db: &Db) {
        let sums = std::mem::take(&mut *self.sums());
        if sums.is_empty() {
            return;
        }
        let rows: Vec<_> = sums.iter().map(|(event, count)| self.recorded(event.clone(), *count)).collect();
        let written =
            db.write("audit", move |c| Ok::<_, Error>(rows.iter().try_for_each(|row| store::audit::insert(c, row))?));
        if let Err(error) = written.await {
            tracing::warn!(%error, "what was refused could not be written down");
            sums.into_iter().for_each(|(event, count)| self.add(event, count));
        }
    }

    /// Draws id and time in the middle of a transaction, as `Notices::owe` does, though db wants none of it there: which events there are shows only inside. It does
    /// no harm, for a run that is undone takes what it drew along, and nobody is answered with it.
    fn recorded(&self, event: Event, count: i64) -> Recorded {
        Recorded { id: uuid_v7(&self.clock, &self.random), event, count, at: self.clock.now() }
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<Event, i64>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what was counted once a minute, until `shutdown`.
pub(crate) async fn work(sso: Arc<Sso>, shutdown: Shutdown) {
    while shutdown.unless_begun(time::sleep(PERIOD)).await.is_some() {
        sso.audit.flush(&sso.db).await;
    }
}

/// A page of events, newest first, of those before the id `before`, and whether there are more.
///
/// # Errors
/// Of the database.
pub(crate) async fn list(
    sso: &Sso,
    filter: Filter,
    before: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<Recorded>, bool), Error> {
    sso.audit.flush(&sso.db).await;
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let page =
        sso.db.read("list_audit_events", move |c| Ok::<_, Error>(store::audit::page(c, &filter, before, one_more)?));
    let mut page = page.await?;
    let more = page.len() > limit;
    page.truncate(limit);
    Ok((page, more))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_flood_is_summed() {
        let audit = Audit::new(Clock::simulated(UNIX_EPOCH), Random::seeded(1));
        let refusal = |user| Event::new(Kind::SignInRefused).because(Reason::PasswordWrong).of(Uuid::from_u128(user));
        for user in 0..10_000 {
            audit.count(refusal(user));
        }
        audit.count(refusal(0));
        let sums = audit.sums();
        assert_eq!(sums.len(), SUMS + 1);
        assert_eq!(sums.values().sum::<i64>(), 10_001, "none is forgotten");
        assert_eq!(sums[&refusal(0)], 2);
    }
}

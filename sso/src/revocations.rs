//! Telling the services that verify access tokens of the sessions that end: all that hold, then each as it comes.
//!
//! Commits come in another order than the times in them, and from other replicas with other clocks. So each look goes back behind the last one by more
//! than a commit can be late, and what was told is remembered for as long. To be told twice does no harm, and a cursor is nothing but a time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::{Failure, deadline};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::{error::Error, sso::Sso, store};

/// How often the database is looked at, for what other replicas ended, and what ended by the way. What this one was asked to end is told at once.
const LOOK: Duration = Duration::from_millis(500);
/// How far a look goes back: the 5 s that a write may take, the 10 s that clocks may differ by, and as much again.
const OVERLAP: Duration = Duration::from_secs(30);
/// The most revocations in one message, some 55 KB.
const PAGE: usize = 1000;

/// A session that ended before its access tokens do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revocation {
    pub(crate) place: Place,
    /// When the last of its tokens is dead.
    pub(crate) until: SystemTime,
}

/// Which session, in the order in which they are told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) revoked_at: SystemTime,
    pub(crate) session_id: Uuid,
}

impl Place {
    /// Before all that a reader at `time` may have missed. To the microsecond, as stored times are: what lies on the border is read again or not, and never
    /// both.
    fn behind(time: SystemTime) -> Self {
        let since = time.checked_sub(OVERLAP).unwrap_or(UNIX_EPOCH);
        Self { revoked_at: store::time(store::at(since)), session_id: Uuid::nil() }
    }
}

/// What comes next, and where to go on after it.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) cursor: SystemTime,
}

/// One who is told.
pub(crate) struct Watch {
    sso: Arc<Sso>,
    ended: watch::Receiver<()>,
    /// When the stream is over.
    until: Instant,
    place: Place,
    /// Whether more is there than was read.
    behind: bool,
    /// Whether nothing was said yet.
    silent: bool,
    /// What was told and will be read again, with its time.
    told: HashMap<Uuid, SystemTime>,
}

impl Watch {
    /// Begins where `cursor` says, or with all that holds now. It ends with a tenth of the caller's time to spare, so that it does so in order.
    pub(crate) fn begin(sso: &Arc<Sso>, cursor: Option<SystemTime>) -> Self {
        let left = deadline::current().map_or(Duration::ZERO, mesh::Deadline::left);
        Self {
            ended: sso.ended.subscribe(),
            sso: Arc::clone(sso),
            until: Instant::now() + left * 9 / 10,
            place: Place::behind(cursor.unwrap_or(UNIX_EPOCH)),
            behind: true,
            silent: true,
            told: HashMap::new(),
        }
    }

    /// Waits for what comes next; `None` when the time is up. The first answer comes at once, if with nothing in it.
    ///
    /// # Errors
    /// Of the database, and UNAVAILABLE when the service stops.
    pub(crate) async fn next(&mut self) -> Result<Option<News>, Error> {
        loop {
            if !self.behind {
                tokio::select! {
                    () = sleep_until(self.until) => return Ok(None),
                    () = self.sso.shutdown.begun() => return Err(Failure::unreachable("the service is stopping").into()),
                    _ = self.ended.changed() => {}
                    () = sleep(LOOK) => {}
                }
            }
            let news = self.look().await?;
            if self.silent || !news.revocations.is_empty() {
                self.silent = false;
                return Ok(Some(news));
            }
        }
    }

    async fn look(&mut self) -> Result<News, Error> {
        let (place, now, limit) = (self.place, self.sso.clock.now(), i64::try_from(PAGE).unwrap_or(i64::MAX));
        self.ended.mark_unchanged();
        let page =
            self.sso.db.read("revocations", move |c| Ok::<_, Error>(store::revocations::page(c, place, now, limit)?));
        let mut revocations = page.await?;
        let last = revocations.last().map(|last| last.place).filter(|_| revocations.len() == PAGE);
        self.behind = last.is_some();
        revocations.retain(|one| self.told.insert(one.place.session_id, one.place.revoked_at).is_none());
        self.place = last.unwrap_or_else(|| {
            let next = Place::behind(now);
            // What lies further back is not read again.
            self.told.retain(|_, time| *time >= next.revoked_at);
            next
        });
        let cursor = last.map_or(now, |last| last.revoked_at);
        Ok(News { revocations, cursor })
    }
}

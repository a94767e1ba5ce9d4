//! Comparing SSO's users with those of a target, page by page, and owing again what differs: a target that lost its data, or a backup that was restored on
//! either side, heals.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::{Conn, Db};
use mesh::{Failure, Shutdown};
use tokio::time;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    error::Error,
    model::{Difference, Known, Target},
    sso::Sso,
    store::{self, jobs::Job},
};

/// What changed so lately is being told right now.
const SETTLED: Duration = Duration::from_secs(60);
/// Users that the periodic job compares at once.
const PAGE: i32 = 200;
/// Its pause after each page, so that nobody feels it; and how long a replica has for a page before another may take it.
const PAUSE: Duration = Duration::from_secs(5);
/// Its pause between two times through, and before the first.
const PERIOD: Duration = Duration::from_secs(6 * 3600);
/// How often a replica looks whether a page is due.
const LOOK: Duration = Duration::from_secs(60);

/// What to compare, and what to do about it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) target: Target,
    pub(crate) dry_run: bool,
    pub(crate) delete_unknown: bool,
    pub(crate) after: Uuid,
    pub(crate) size: i32,
    /// Who asks; empty for the periodic job.
    pub(crate) operator: String,
}

/// What one page came to.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) differences: Vec<(Uuid, Difference)>,
    pub(crate) compared: usize,
    /// The last id compared; none if there is nothing after it on either side.
    pub(crate) next: Option<Uuid>,
}

/// Compares one page.
///
/// # Errors
/// Of the database, or that the target does not answer.
pub(crate) async fn page(sso: &Arc<Sso>, ask: Ask) -> Result<Page, Error> {
    let Ask { target, after, size, .. } = ask;
    // The target first: whoever it knows was in SSO before.
    let listed = sso.peers.list(target, after, size).await;
    let (theirs, more_theirs) = listed.map_err(|status| {
        tracing::warn!(%target, code = ?status.code(), "does not list its users");
        Error::Failure(Failure::unreachable("the target does not list its users"))
    })?;
    let since = sso.clock.now() - SETTLED;
    let found = sso.db.read("compare_users", move |c| {
        let mut ours = store::reconcile::page(c, after, i64::from(size) + 1)?;
        let more_ours = ours.len() > usize::try_from(size).unwrap_or(usize::MAX);
        if more_ours {
            ours.pop();
        }
        let (last_theirs, last_ours) = (theirs.last().filter(|_| more_theirs), ours.last().filter(|_| more_ours));
        // Beyond the shorter of the two pages one side has not been seen.
        let next = [last_theirs, last_ours].into_iter().flatten().map(|known| known.id).min();
        let pairs = pair(&ours, &theirs, next);
        let mut differences = Vec::new();
        for (id, (ours, theirs)) in &pairs {
            let Some(mut difference) = differ(*ours, *theirs) else { continue };
            if let Difference::Unknown(version) = difference
                && let Some(deleted_at) = store::audit::deleted_at(c, *id)?
            {
                if deleted_at > since {
                    continue;
                }
                difference = Difference::Deleted(version);
            }
            if !store::reconcile::is_owed(c, *id, target)? && !store::reconcile::changed_since(c, *id, since)? {
                differences.push((*id, difference));
            }
        }
        Ok::<_, Error>(Page { differences, compared: pairs.len(), next })
    });
    let page = found.await?;
    if !ask.dry_run {
        mend(sso, ask, &page.differences).await?;
    }
    Ok(page)
}

type Pair<'a> = (Option<&'a Known>, Option<&'a Known>);

/// Both sides of each user, up to and with `last`.
fn pair<'a>(ours: &'a [Known], theirs: &'a [Known], last: Option<Uuid>) -> BTreeMap<Uuid, Pair<'a>> {
    let mut pairs: BTreeMap<Uuid, Pair<'a>> = BTreeMap::new();
    let within = |known: &&Known| last.is_none_or(|last| known.id <= last);
    for known in ours.iter().filter(within) {
        pairs.entry(known.id).or_default().0 = Some(known);
    }
    for known in theirs.iter().filter(within) {
        pairs.entry(known.id).or_default().1 = Some(known);
    }
    pairs
}

fn differ(ours: Option<&Known>, theirs: Option<&Known>) -> Option<Difference> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs => None,
        (Some(ours), Some(theirs)) if theirs.version >= ours.version => Some(Difference::Ahead(theirs.version)),
        (Some(_), _) => Some(Difference::Behind),
        (None, Some(theirs)) => Some(Difference::Unknown(theirs.version)),
        (None, None) => None,
    }
}

async fn mend(sso: &Arc<Sso>, ask: Ask, differences: &[(Uuid, Difference)]) -> Result<(), Error> {
    let now = sso.clock.now();
    let wanted = differences.iter().filter(|(_, how)| ask.delete_unknown || !matches!(how, Difference::Unknown(_)));
    let owed: Vec<_> = wanted
        .map(|(id, how)| {
            let one = sso.provisioner.free(*id, &[ask.target], now);
            (*id, *how, one, sso.provisioner.free(*id, &Target::ALL, now))
        })
        .collect();
    if owed.is_empty() {
        return Ok(());
    }
    let audit = sso.audit.clone();
    let event = Event::new(Kind::ProvisioningReconciled).because(ask.target.reason()).by(&ask.operator);
    let deleted = Event { kind: Kind::UserDeleted, ..event.clone() };
    let mended = sso.db.write("mend_users", move |c| {
        let mut mended = 0_usize;
        for (id, how, one, all) in &owed {
            if !store::reconcile::mend(c, *id, *how, one, all, now)? {
                continue;
            }
            mended += 1;
            // A target whose backup brings the user back is told again.
            if matches!(how, Difference::Unknown(_)) {
                audit.record(c, deleted.clone().of(*id))?;
            }
        }
        if mended > 0 {
            audit.record(c, event.clone())?;
        }
        Ok::<_, Error>(mended)
    });
    let users = mended.await?;
    tracing::warn!(target = %ask.target, users, "differed from SSO, and are owed again");
    sso.provisioner.stir();
    Ok(())
}

/// Compares everything now and then, slowly, until `shutdown`. How far that came stands in the database: whoever starts goes on there, and of several replicas one takes
/// a page. Users that SSO does not know, and of whose deletion it knows nothing, are reported and left: an SSO that was restored from an old backup must not delete everybody
/// who came since. One that deleted a user has an event of it, of the same commit, for as long as events are kept.
pub(crate) async fn work(sso: Arc<Sso>, target: Target, shutdown: Shutdown) {
    loop {
        let pause = next_page(&sso, target).await.unwrap_or_else(|error| {
            tracing::warn!(%target, %error, "could not be compared");
            LOOK
        });
        if shutdown.unless_begun(time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Compares the next page, if one is due. How long to wait before the next look.
async fn next_page(sso: &Arc<Sso>, target: Target) -> Result<Duration, Error> {
    let Some(after) = take(&sso.db, target, sso.clock.now()).await? else { return Ok(LOOK) };
    let ask = Ask { target, dry_run: false, delete_unknown: false, after, size: PAGE, operator: String::new() };
    let done = page(sso, ask).await?;
    let unknown = done.differences.iter().filter(|(_, how)| matches!(how, Difference::Unknown(_))).count();
    let unknown = i64::try_from(unknown).unwrap_or(i64::MAX);
    if unknown > 0 {
        tracing::error!(%target, unknown, "knows users that SSO does not: ReconcileProvisioning");
    }
    let now = sso.clock.now();
    let kept = sso.db.write("keep_comparison", move |c| {
        let job = store::jobs::lock(c, job_of(target), now)?;
        if let Some(job) = compared(job, after, done.next, unknown, now) {
            store::jobs::keep(c, job_of(target), &job)?;
        }
        Ok::<_, Error>(())
    });
    kept.await?;
    Ok(if done.next.is_some() { PAUSE } else { LOOK })
}

/// Takes the next page of a target, if one is due that no other replica has taken. After whom it begins.
async fn take(db: &Db, target: Target, now: SystemTime) -> Result<Option<Uuid>, Error> {
    db.write("take_comparison", move |c| {
        let job = store::jobs::lock(c, job_of(target), now)?;
        if !is_due(&job, now) {
            return Ok(None);
        }
        store::jobs::keep(c, job_of(target), &Job { ran_at: now, ..job })?;
        Ok(Some(job.place))
    })
    .await
}

/// The row of a target among the jobs, which counts unknown users from the end of the last time through.
fn job_of(target: Target) -> &'static str {
    match target {
        Target::Social => "reconcile_social",
        Target::Blog => "reconcile_blog",
    }
}

fn is_due(job: &Job, now: SystemTime) -> bool {
    job.ran_at + PAUSE <= now && (!job.place.is_nil() || job.since + PERIOD <= now)
}

/// The job after the page that begins after `after`, has so many unknown users and ends with `last` if there are more. `None` if others overtook it: it does not turn
/// them back.
fn compared(job: Job, after: Uuid, last: Option<Uuid>, unknown: i64, now: SystemTime) -> Option<Job> {
    let total = job.total + unknown;
    let next = match last {
        Some(place) => Job { ran_at: now, place, total, ..job },
        None => Job { latest: total, ..Job::new(now) },
    };
    (job.place == after).then_some(next)
}

/// How many users of a target were unknown when it was compared last, from the first page to the last.
///
/// # Errors
/// Of the database.
pub(crate) fn unknown(c: &mut Conn, target: Target) -> Result<i64, Error> {
    Ok(store::jobs::find(c, job_of(target))?.map_or(0, |job| job.latest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::postgres;

    fn known(id: u128, version: i64) -> Known {
        Known { id: Uuid::from_u128(id), username: "anna".to_owned(), account_type: 1, tier: 0, version }
    }

    #[test]
    fn the_later_version_tells_who_is_right() {
        let (old, new) = (known(1, 1), known(1, 2));
        assert_eq!(differ(Some(&new), Some(&new)), None);
        assert_eq!(differ(Some(&new), Some(&old)), Some(Difference::Behind));
        assert_eq!(differ(Some(&old), Some(&new)), Some(Difference::Ahead(2)));
        assert_eq!(differ(Some(&new), None), Some(Difference::Behind));
        assert_eq!(differ(None, Some(&new)), Some(Difference::Unknown(2)));
        let renamed = Known { username: "bob".to_owned(), ..known(1, 2) };
        assert_eq!(differ(Some(&renamed), Some(&new)), Some(Difference::Ahead(2)));
    }

    #[test]
    fn what_one_side_has_not_shown_is_not_compared() {
        let (ours, theirs) = ([known(1, 1), known(5, 1)], [known(1, 1), known(2, 1)]);
        let ids = |last| pair(&ours, &theirs, last).into_keys().map(|id| id.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(Some(Uuid::from_u128(2))), [1, 2]);
        assert_eq!(ids(None), [1, 2, 5]);
    }

    #[test]
    fn a_page_is_due_when_the_pause_is_over_and_a_first_one_when_the_period_is() {
        let start = SystemTime::UNIX_EPOCH + PERIOD;
        let fresh = Job::new(start);
        assert!(!is_due(&fresh, start + PERIOD - PAUSE) && is_due(&fresh, start + PERIOD));
        let seventh = Uuid::from_u128(7);
        let begun = compared(fresh, Uuid::nil(), Some(seventh), 2, start + PERIOD).expect("its own");
        assert!(!is_due(&begun, begun.ran_at) && is_due(&begun, begun.ran_at + PAUSE));
        assert_eq!(compared(begun, Uuid::nil(), None, 1, begun.ran_at + PAUSE), None, "overtaken");
        let done = compared(begun, seventh, None, 3, begun.ran_at + PAUSE).expect("its own");
        assert_eq!((done.since, done.place), (done.ran_at, Uuid::nil()));
        assert_eq!((begun.total, begun.latest, done.total, done.latest), (2, 0, 0, 5));
        assert!(!is_due(&done, done.ran_at + PAUSE) && is_due(&done, done.ran_at + PERIOD));
    }

    /// The lock of `take`, on PostgreSQL; on SQLite there is one writer.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_replicas_one_takes_a_page() {
        let Some(db) = postgres().await else { return };
        let start = SystemTime::UNIX_EPOCH + PERIOD;
        assert_eq!(take(&db, Target::Blog, start).await.expect("a look"), None);
        for round in 1..=10 {
            let mut replicas = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let db = db.clone();
                replicas.spawn(async move { take(&db, Target::Blog, start + PERIOD * round).await.expect("a look") });
            }
            let taken = replicas.join_all().await.into_iter().flatten().count();
            assert_eq!(taken, 1, "round {round}");
        }
    }
}

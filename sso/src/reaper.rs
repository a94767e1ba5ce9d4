//! Deletes sign-ups that were not verified for a day, here and in the targets.
//!
//! A day in which nothing ran gave nobody the time to verify, and it may have ended with a backup that does not know who did. So the reaper only counts time in which
//! it has looked ([`Watch`]).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mesh::Shutdown;
use tokio::time;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    model::Target,
    sso::{DAY, Sso},
    store::{self, jobs::Job, provisioning::Debts},
};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(60);
/// How long it may not have looked before that was an outage, and not a restart.
const OUTAGE: Duration = Duration::from_secs(15 * 60);
/// How long it has to have looked in all, where outages leave no day in one piece.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long of that it has to have looked since the last outage, which may have ended with a backup.
const REST: Duration = Duration::from_secs(8 * 3600);
/// Its row among the jobs.
const JOB: &str = "reap";
/// Sign-ups that it reaps in one transaction.
const PAGE: i64 = 50;

/// Reaps every minute, until `shutdown`.
pub(crate) async fn work(sso: Arc<Sso>, shutdown: Shutdown) {
    while !shutdown.is_begun() {
        match reap_page(&sso).await {
            Ok(0) => {}
            Ok(users) => {
                tracing::info!(users, "never verified, and deleted");
                continue;
            }
            Err(error) => tracing::warn!(%error, "sign-ups that were never verified could not be deleted"),
        }
        shutdown.unless_begun(time::sleep(PERIOD)).await;
    }
}

/// For how long somebody has looked, on whichever replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watch {
    since: SystemTime,
    looked_at: SystemTime,
    /// Since [`Self::since`] in all, without the outages.
    awake: Duration,
    /// Since the last outage.
    unbroken: Duration,
}

impl Watch {
    /// The job counts how long it was awake, in microseconds.
    fn stored(job: Job) -> Self {
        let [awake, unbroken] =
            [job.total, job.latest].map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        Self { since: job.since, looked_at: job.ran_at, awake, unbroken }
    }

    fn job(self) -> Job {
        let [total, latest] = [self.awake, self.unbroken].map(|time| i64::try_from(time.as_micros()).unwrap_or(0));
        Job { since: self.since, ran_at: self.looked_at, place: Uuid::nil(), total, latest }
    }

    /// After a look at `now`. It begins anew while there is a day in one piece: then there is nothing to add up.
    fn looked(self, now: SystemTime) -> Self {
        // Clocks of replicas differ a little.
        let (now, gap) = (now.max(self.looked_at), now.duration_since(self.looked_at).unwrap_or_default());
        let seen = match gap > OUTAGE {
            true => Self { unbroken: Duration::ZERO, looked_at: now, ..self },
            false => Self { unbroken: self.unbroken + gap, awake: self.awake + gap, looked_at: now, ..self },
        };
        if seen.unbroken < DAY { seen } else { seen.anew() }
    }

    fn anew(self) -> Self {
        Self { since: self.looked_at, awake: Duration::ZERO, ..self }
    }

    /// Until when whoever signed up has had a day. After an outage that is a day in one piece; where none ever is, three in all with a third of a day in one piece at
    /// the end, for those who were there when they began.
    fn reaps(&self) -> Option<SystemTime> {
        let day_ago = self.looked_at - DAY;
        match (self.unbroken >= DAY, self.awake >= PATIENCE && self.unbroken >= REST) {
            (true, _) => Some(day_ago),
            (false, true) => Some(self.since.min(day_ago)),
            (false, false) => None,
        }
    }
}

async fn reap_page(sso: &Sso) -> Result<usize, Error> {
    let now = sso.clock.now();
    let found = sso.db.write("never_verified", move |c| {
        let mut watch = Watch::stored(store::jobs::lock(c, JOB, now)?).looked(now);
        let mut found = None;
        if let Some(until) = watch.reaps() {
            match store::deletion::never_verified(c, until, PAGE)? {
                none if none.is_empty() => watch = watch.anew(),
                ids => found = Some((until, ids)),
            }
        }
        store::jobs::keep(c, JOB, &watch.job())?;
        Ok::<_, Error>(found)
    });
    let Some((until, ids)) = found.await? else { return Ok(0) };
    let doomed: Vec<(Uuid, Debts)> =
        ids.into_iter().map(|id| (id, sso.provisioner.free(id, &Target::ALL, now))).collect();
    let audit = sso.audit.clone();
    let reaped = sso.db.write("reap", move |c| {
        let mut reaped = 0;
        for (user_id, debts) in &doomed {
            // Looked at again here: it may have been verified since it was read.
            if store::deletion::delete(c, *user_id, Some(until), now)?.is_some() {
                debts.owe(c, now)?;
                audit.record(c, Event::new(Kind::UserDeleted).because(Reason::NeverVerified).of(*user_id))?;
                reaped += 1;
            }
        }
        Ok::<_, Error>(reaped)
    });
    let reaped = reaped.await?;
    if reaped > 0 {
        sso.provisioner.stir();
    }
    Ok(reaped)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// From here on, not a look before.
    fn begun() -> Watch {
        let now = UNIX_EPOCH + 1000 * DAY;
        Watch::stored(Job::new(now))
    }

    /// Awake for so long, by looks every minute; through the database each time.
    fn awake(watch: Watch, time: Duration) -> Watch {
        let looks = time.as_secs() / MINUTE.as_secs();
        (0..looks).fold(watch, |watch, _| Watch::stored(watch.looked(watch.looked_at + MINUTE).job()))
    }

    fn asleep(watch: Watch, time: Duration) -> Watch {
        watch.looked(watch.looked_at + time)
    }

    #[test]
    fn everybody_has_a_day_and_a_restart_takes_none_of_it_away() {
        let watch = asleep(awake(begun(), 12 * HOUR), 15 * MINUTE);
        let watch = awake(watch, 12 * HOUR - 16 * MINUTE);
        assert_eq!(watch.reaps(), None);
        let watch = awake(watch, MINUTE);
        assert_eq!(watch.reaps(), Some(watch.looked_at - DAY));
    }

    #[test]
    fn after_an_outage_everybody_has_another_day() {
        for outage in [16 * MINUTE, 30 * HOUR, 100 * DAY] {
            let watch = asleep(awake(begun(), 300 * HOUR), outage);
            assert_eq!(watch.reaps(), None);
            let watch = awake(watch, 24 * HOUR - MINUTE);
            assert_eq!(watch.reaps(), None);
            let watch = awake(watch, MINUTE);
            assert_eq!(watch.reaps(), Some(watch.looked_at - DAY));
        }
    }

    /// As on a machine that is switched off every night.
    #[test]
    fn outages_every_day_do_not_stop_it_for_ever() {
        let begun = begun();
        let days = |watch, days| (0..days).fold(watch, |watch, _| awake(asleep(watch, 8 * HOUR), 16 * HOUR));
        let watch = days(begun, 4);
        assert_eq!(watch.reaps(), None, "64 h");
        let watch = days(watch, 1);
        assert_eq!(watch.reaps(), Some(begun.since), "80 h, and whoever came meanwhile has not had them");
        let next = watch.anew();
        assert_eq!(days(next, 4).reaps(), None, "those are to have as much");
        assert_eq!(days(next, 5).reaps(), Some(watch.looked_at));
    }

    /// The backup knows of the three days, and not of whom they verified.
    #[test]
    fn three_days_in_all_are_no_rest_after_a_backup_was_restored() {
        let mut watch = (0..4).fold(begun(), |watch, _| awake(asleep(watch, 8 * HOUR), 16 * HOUR));
        watch = awake(asleep(watch, HOUR), 7 * HOUR);
        assert_eq!((watch.awake, watch.reaps()), (71 * HOUR, None));
        watch = awake(asleep(watch, 8 * HOUR), HOUR);
        assert_eq!((watch.awake, watch.reaps()), (72 * HOUR, None));
        watch = awake(watch, 7 * HOUR);
        assert_eq!(watch.reaps(), Some(begun().since));
    }

    #[test]
    fn clocks_that_differ_make_no_time() {
        let mut watch = begun();
        for _ in 0..10_000 {
            watch = watch.looked(watch.looked_at - MINUTE).looked(watch.looked_at);
        }
        assert_eq!(watch, begun());
    }
}

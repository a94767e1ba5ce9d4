//! Comparing SSO's users with those of a target, page by page, and owing again what differs: a target that lost its data, or a backup that was restored on
//! either side, heals.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mesh::{Failure, Shutdown};
use tokio::time;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    error::Error,
    model::{Difference, Known, Target},
    sso::Sso,
    store,
};

/// What changed so lately is being told right now.
const SETTLED: Duration = Duration::from_secs(60);
/// Users that the periodic job compares at once.
const PAGE: i32 = 200;
/// Its pause after each page, so that nobody feels it.
const PAUSE: Duration = Duration::from_secs(5);
/// Its pause between two times through, and before the first.
const PERIOD: Duration = Duration::from_secs(6 * 3600);

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
            let Some(difference) = differ(*ours, *theirs) else { continue };
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
    let mended = sso.db.write("mend_users", move |c| {
        let mut mended = 0;
        for (id, how, one, all) in &owed {
            mended += usize::from(store::reconcile::mend(c, *id, *how, one, all, now)?);
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

/// Compares everything now and then, slowly, until `shutdown`. Users that SSO does not know are reported and left: an SSO that was restored from an old
/// backup must not delete everybody who came since.
pub(crate) async fn work(sso: Arc<Sso>, target: Target, shutdown: Shutdown) {
    let mut after = Uuid::nil();
    let mut pause = PERIOD;
    loop {
        tokio::select! {
            () = time::sleep(pause) => {}
            () = shutdown.begun() => return,
        }
        match page(
            &sso,
            Ask { target, dry_run: false, delete_unknown: false, after, size: PAGE, operator: String::new() },
        )
        .await
        {
            Ok(done) => {
                let unknown = done.differences.iter().filter(|(_, how)| matches!(how, Difference::Unknown(_))).count();
                if unknown > 0 {
                    tracing::error!(%target, unknown, "knows users that SSO does not: ReconcileProvisioning");
                }
                (after, pause) = done.next.map_or((Uuid::nil(), PERIOD), |next| (next, PAUSE));
            }
            Err(error) => {
                tracing::warn!(%target, %error, "could not be compared");
                pause = PAUSE * 12;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

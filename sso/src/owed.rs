//! What is owed to the targets, for operators: to look at, and to stir.

use mesh::deadline;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    error::Error,
    model::{Owed, Provisioning, Target},
    sso::Sso,
    store::{self, owed::Filter, provisioning::DEBTS},
};

/// Parked rows made due in one transaction.
const PAGE: i64 = 100;
/// What is kept of the deadline for the answer.
const RESERVE: std::time::Duration = std::time::Duration::from_millis(500);

/// Which debts to make due.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// All of a user.
    User(Uuid),
    /// All that is parked of a target.
    ParkedOf(Target),
}

/// A page of debts: at most `limit` of them after `after`, and whether there are more.
///
/// # Errors
/// Of the database alone.
pub(crate) async fn list(sso: &Sso, filter: Filter, after: Uuid, limit: usize) -> Result<(Vec<Owed>, bool), Error> {
    let ask = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let page = sso.db.read("list_provisioning", move |c| Ok::<_, Error>(store::owed::page(c, filter, after, ask)?));
    let mut page = page.await?;
    let more = page.len() > limit;
    page.truncate(limit);
    Ok((page, more))
}

/// Makes debts due at once. Returns how many; of a target with very many parked, those that could be reached in time.
///
/// # Errors
/// [`Error::UserNotFound`].
pub(crate) async fn retry(sso: &Sso, scope: Scope, operator: &str) -> Result<usize, Error> {
    let retried = match scope {
        Scope::User(user_id) => retry_user(sso, user_id, operator).await?,
        Scope::ParkedOf(target) => retry_parked(sso, target, operator).await?,
    };
    sso.provisioner.stir();
    Ok(retried)
}

async fn retry_user(sso: &Sso, user_id: Uuid, operator: &str) -> Result<usize, Error> {
    let (now, audit) = (sso.clock.now(), sso.audit.clone());
    let event = Event::new(Kind::ProvisioningRetried).of(user_id).by(operator);
    let retried = sso.db.write("retry_provisioning", move |c| {
        store::deletion::truth(c, user_id)?.ok_or(Error::UserNotFound)?;
        audit.record(c, event.clone())?;
        Ok::<_, Error>(DEBTS.retry(c, user_id, now.into())?)
    });
    retried.await
}

async fn retry_parked(sso: &Sso, target: Target, operator: &str) -> Result<usize, Error> {
    // Each once: a target that still refuses has them parked again while this goes on.
    let (mut retried, mut after) = (0, Uuid::nil());
    while deadline::current().is_none_or(|deadline| deadline.left() > RESERVE) {
        let (now, audit) = (sso.clock.now(), sso.audit.clone());
        let event = Event::new(Kind::ProvisioningRetried).because(target.reason()).by(operator);
        let page = sso.db.write("retry_parked_provisioning", move |c| {
            let retried = DEBTS.retry_parked(c, target as i16, after, PAGE, now.into())?;
            if !retried.is_empty() {
                audit.record(c, event.clone())?;
            }
            Ok::<_, Error>(retried)
        });
        let page = page.await?;
        retried += page.len();
        match page.into_iter().max() {
            Some(last) => after = last,
            None => break,
        }
    }
    Ok(retried)
}

/// How far the targets have been told of a user.
///
/// # Errors
/// [`Error::UserNotFound`] if there is no such user, and no deletion of it that is still owed.
pub(crate) async fn of_user(sso: &Sso, user_id: Uuid) -> Result<Vec<Provisioning>, Error> {
    sso.db
        .read("provisioning", move |c| {
            store::deletion::truth(c, user_id)?.ok_or(Error::UserNotFound)?;
            Ok(store::provisioning::of_user(c, user_id)?)
        })
        .await
}

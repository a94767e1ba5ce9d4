//! What operators do with accounts, besides creating, changing and deleting them.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    audit::{Event, Kind},
    error::Error,
    model::{Outcome, User},
    sso::Sso,
    store::{self, listing::Filter},
};

/// Keeps a user out, or lets one in again. Locking ends all sessions and whatever a code was sent for.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::RequestIdReused`].
pub(crate) async fn set_locked(
    sso: &Arc<Sso>,
    request_id: Uuid,
    user_id: Uuid,
    locked: bool,
    operator: &str,
) -> Result<User, Error> {
    let request = sso.request(request_id, &[b"lock", user_id.as_bytes(), &[u8::from(locked)]]);
    let (now, limits, audit) = (sso.clock.now(), sso.sessions, sso.audit.clone());
    let kind = if locked { Kind::UserLocked } else { Kind::UserUnlocked };
    let event = Event::new(kind).of(user_id).by(operator);
    sso.ending("lock_user", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if request.claim(c, &outcome, now)?.is_none() {
            if store::users::set_locked(c, user_id, locked, now)? > 0 {
                audit.record(c, event.clone())?;
            }
            if locked {
                store::sessions::end_all(c, user_id, None, limits.ending(now))?;
                store::end_codes(c, user_id)?;
            }
        }
        store::users::find(c, user_id)?.ok_or(Error::UserNotFound)
    })
    .await
}

/// One user.
///
/// # Errors
/// [`Error::UserNotFound`].
pub(crate) async fn get(sso: &Sso, id: Uuid) -> Result<User, Error> {
    sso.db.read("get_user", move |c| store::users::find(c, id)?.ok_or(Error::UserNotFound)).await
}

/// A page of users, in the order of their sign-ups, and whether there are more.
///
/// # Errors
/// Of the database alone.
pub(crate) async fn list(
    sso: &Arc<Sso>,
    filter: Filter,
    after: Uuid,
    limit: usize,
) -> Result<(Vec<User>, bool), Error> {
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let page = sso.db.read("list_users", move |c| Ok::<_, Error>(store::listing::page(c, after, &filter, one_more)?));
    let mut users = page.await?;
    let more = users.len() > limit;
    users.truncate(limit);
    Ok((users, more))
}

/// Users by id, in the order they were asked for.
///
/// # Errors
/// [`Error::UserNotFound`] if one is not there.
pub(crate) async fn batch(sso: &Arc<Sso>, ids: Vec<Uuid>) -> Result<Vec<User>, Error> {
    let wanted = ids.clone();
    let users = sso.db.read("batch_get_users", move |c| Ok::<_, Error>(store::listing::batch(c, &wanted)?)).await?;
    let found = |id: &Uuid| users.iter().find(|user| user.id == *id).cloned().ok_or(Error::UserNotFound);
    ids.iter().map(found).collect()
}

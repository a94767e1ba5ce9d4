//! Deleting a user: all that SSO holds of the person goes, and that the others are to be told is owed, in one commit.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mesh::{Person, Shutdown};
use tokio::time;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    error::Error,
    fresh,
    model::{Outcome, Provisioning, Target, Truth},
    password::Password,
    session,
    sso::{DAY, Sso},
    store::{self, jobs::Job, provisioning::Debts},
    throttle::Ticket,
};

/// How often the reaper looks.
const PERIOD: Duration = Duration::from_secs(60);
/// How long it may not have looked before that was an outage, and not a restart.
const OUTAGE: Duration = Duration::from_secs(3600);
/// Its row among the jobs, which count from the end of the last outage.
const REAPER: &str = "reap";
/// Sign-ups that it reaps in one transaction.
const PAGE: i64 = 50;

/// Deletes a user for an operator.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::RequestIdReused`].
pub(crate) async fn by_operator(
    sso: &Arc<Sso>,
    request_id: Uuid,
    user_id: Uuid,
    operator: &str,
) -> Result<Vec<Provisioning>, Error> {
    let digest = crate::digest::keyed(&sso.digest_key, &[b"delete_user", user_id.as_bytes()]);
    delete(sso, request_id, digest, user_id, Event::new(Kind::UserDeleted).by(operator)).await
}

/// Deletes the account of whoever has a session and knows the password.
///
/// # Errors
/// [`Error::SessionEnded`], [`Error::CredentialsInvalid`], [`Error::Limited`], [`Error::RequestIdReused`], overload.
pub(crate) async fn by_person(
    sso: &Arc<Sso>,
    request_id: Uuid,
    person: Person,
    password: Password,
    address: Option<IpAddr>,
) -> Result<Vec<Provisioning>, Error> {
    let user_id = person.user_id;
    let (limits, asked_at) = (sso.sessions, sso.clock.now());
    let parts: [&[u8]; 3] = [b"delete_account", user_id.as_bytes(), password.bytes()];
    let digest = crate::digest::keyed(&sso.digest_key, &parts);
    let before = sso.db.read("delete_account_before", move |c| {
        // A repeat finds neither session nor password any more.
        if store::requests::find(c, request_id, &digest)?.is_some() {
            return Ok(None);
        }
        session::require(c, person, &limits, asked_at)?;
        store::passwords::of(c, user_id)?.ok_or(Error::SessionEnded).map(Some)
    });
    let ticket = match before.await? {
        // With the user its misses are of no use: only a deletion that comes to nothing takes them back.
        Some(hash) => fresh::check(sso, person, &password, hash, address).await?,
        None => Ticket::default(),
    };
    let event = Event::new(Kind::UserDeleted).because(Reason::ByOwner).from(address);
    ticket.settle(sso, delete(sso, request_id, digest, user_id, event).await).await
}

async fn delete(
    sso: &Arc<Sso>,
    request_id: Uuid,
    digest: [u8; 32],
    user_id: Uuid,
    event: Event,
) -> Result<Vec<Provisioning>, Error> {
    let (now, limits) = (sso.clock.now(), sso.sessions);
    let (debts, audit, event) = (sso.provisioner.held(user_id, now), sso.audit.clone(), event.of(user_id));
    let deleted = sso.ending("delete_user", move |c| {
        let outcome = Outcome { user_id, verification_id: None, session_id: None };
        if store::requests::claim(c, request_id, &digest, &outcome, now)?.is_some() {
            return Ok::<_, Error>(None);
        }
        // No session may begin between their end and the user's.
        store::users::lock(c, user_id)?;
        store::sessions::end_all(c, user_id, None, limits.ending(now))?;
        let version = store::deletion::delete(c, user_id, None, now)?.ok_or(Error::UserNotFound)?;
        debts.owe(c, now)?;
        audit.record(c, event.clone())?;
        Ok(Some((version, debts.clone())))
    });
    if let Some((version, debts)) = deleted.await?
        && sso.provisioner.settle(debts, Truth::Deleted { version }).await
    {
        return Ok(Provisioning::everywhere());
    }
    sso.db.read("provisioning", move |c| Ok(store::provisioning::of_user(c, user_id)?)).await
}

/// Deletes sign-ups that were not verified for a day, here and in the targets, every minute, until `shutdown`. After an outage nobody is deleted for a day: meanwhile
/// nobody could verify anything, and if it ended with a backup, who had verified since may not have in there.
pub(crate) async fn reap(sso: Arc<Sso>, shutdown: Shutdown) {
    while !shutdown.is_begun() {
        match reap_page(&sso).await {
            Ok(0) => {}
            Ok(users) => {
                tracing::info!(users, "never verified, and deleted");
                continue;
            }
            Err(error) => tracing::warn!(%error, "sign-ups that were never verified could not be deleted"),
        }
        tokio::select! {
            () = time::sleep(PERIOD) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// The reaper's row once it has looked.
fn looked(job: Job, now: SystemTime) -> Job {
    let since = if job.ran_at + OUTAGE < now { now } else { job.since };
    Job { since, ran_at: now, ..job }
}

async fn reap_page(sso: &Sso) -> Result<usize, Error> {
    let now = sso.clock.now();
    let until = now - DAY;
    let ids = sso.db.write("never_verified", move |c| {
        let job = looked(store::jobs::lock(c, REAPER, now)?, now);
        store::jobs::keep(c, REAPER, &job)?;
        if job.since > until {
            return Ok(Vec::new());
        }
        Ok::<_, Error>(store::deletion::never_verified(c, until, PAGE)?)
    });
    let ids = ids.await?;
    if ids.is_empty() {
        return Ok(0);
    }
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

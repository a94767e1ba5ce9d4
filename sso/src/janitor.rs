//! Forgets what nobody may ask for any more.

use std::{sync::Arc, time::Duration};

use mesh::Shutdown;
use tokio::time;

use crate::{
    error::Error,
    sso::{DAY, Sso},
    store,
};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(600);

/// Deletes request ids, verifications and challenges that are older than a day, sessions that have ended, revocations that hold for nobody, tries that no rule looks at
/// any more and decisions that were kept for long enough, every ten minutes, until `shutdown`.
pub(crate) async fn work(sso: Arc<Sso>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = time::sleep(PERIOD) => {}
            () = shutdown.begun() => return,
        }
        let now = sso.clock.now();
        let (until, idle, begun) = (now - DAY, now - sso.sessions.idle, now - sso.sessions.absolute);
        let decided = now - sso.audit_kept;
        let forgotten = sso.db.write("forget", move |c| {
            let sessions = store::sessions::forget(c, idle, begun)?;
            let rest = store::challenges::forget(c, until)? + store::tallies::forget(c, now)?;
            let rest = rest + store::audit::forget(c, decided)? + store::revocations::forget(c, now)?;
            Ok::<_, Error>(
                sessions + rest + store::requests::forget(c, until)? + store::verifications::forget(c, until)?,
            )
        });
        match forgotten.await {
            Ok(rows) => tracing::debug!(rows, "forgotten"),
            Err(error) => tracing::warn!(%error, "what is old could not be forgotten"),
        }
    }
}

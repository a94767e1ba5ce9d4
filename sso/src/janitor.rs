//! Forgets what nobody may ask for any more.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::Old;
use mesh::Shutdown;
use tokio::time;

use crate::{
    sso::{DAY, Sso},
    store::{self, at},
};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(600);

/// Deletes request ids, verifications and challenges that are older than a day, sessions that have ended, revocations that hold for nobody, tries that no rule looks at
/// any more and decisions that were kept for long enough, every ten minutes, until `shutdown`.
pub(crate) async fn work(sso: Arc<Sso>, shutdown: Shutdown) {
    while shutdown.unless_begun(time::sleep(PERIOD)).await.is_some() {
        for (old, until) in over(&sso) {
            match old.forget_all(&sso.db, at(until), || shutdown.is_begun()).await {
                Ok(rows) => tracing::debug!(?old, rows, "forgotten"),
                Err(error) => tracing::warn!(?old, %error, "what is old could not be forgotten"),
            }
        }
    }
}

/// What is over, and since when.
fn over(sso: &Sso) -> [(Old, SystemTime); 8] {
    let now = sso.clock.now();
    [
        (store::requests::OLD, now - DAY),
        (store::verifications::OLD, now - DAY),
        (store::challenges::OLD, now - DAY),
        (store::sessions::IDLE, now - sso.sessions.idle),
        (store::sessions::AGED, now - sso.sessions.absolute),
        (store::revocations::OLD, now),
        (store::tallies::OLD, now),
        (store::audit::OLD, now - sso.audit_kept),
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::UNIX_EPOCH,
    };

    use db::{Db, Fate, Faults, Options};
    use uuid::Uuid;

    use super::*;
    use crate::{
        error::Error,
        model::Outcome,
        store::{MIGRATIONS, fixture::postgres},
    };

    /// Notes so many request ids, each a microsecond after the one before, and one that is not old.
    async fn backlog(db: &Db, rows: u32) -> SystemTime {
        let last = UNIX_EPOCH + Duration::from_micros(u64::from(rows));
        let note = move |c: &mut db::Conn| {
            for number in 1..=rows + 1 {
                let id = Uuid::from_u128(number.into());
                let outcome = Outcome { user_id: id, verification_id: None, session_id: None };
                let noted = UNIX_EPOCH + Duration::from_micros(number.into());
                store::requests::Request::new(&[0; 32], id, &[]).claim(c, &outcome, noted)?;
            }
            Ok::<_, Error>(())
        };
        db.write("note", note).await.expect("noted");
        last
    }

    /// The pages: what one transaction could not do before its deadline would never be done, and be more each time.
    #[tokio::test]
    async fn a_backlog_goes_page_by_page_and_what_went_stays_gone() {
        let (folder, pages) = (tempfile::tempdir().expect("a folder"), Arc::new(AtomicU32::new(0)));
        let third_fails = move |job: &str| match job {
            "forget" if pages.fetch_add(1, Ordering::Relaxed) == 2 => Fate::Refuse,
            _ => Fate::Run,
        };
        let url = format!("sqlite:{}", folder.path().join("sso.db").display());
        let options = Options { faults: Faults::new(third_fails), ..Options::new(url) };
        let db = Db::open(options, MIGRATIONS).await.expect("a database");
        let until = at(backlog(&db, 1700).await);
        let forget = |until| store::requests::OLD.forget_all(&db, until, || false);
        forget(until).await.expect_err("the third page fails");
        assert_eq!(forget(until).await.expect("forgotten"), 700);
        assert_eq!(forget(until).await.expect("forgotten"), 0);
        let young = UNIX_EPOCH + Duration::from_secs(1);
        assert_eq!(forget(at(young)).await.expect("forgotten"), 1);
    }

    /// The SKIP LOCKED of [`Old::forget`]: a janitor that waited for a row would hold those that it has deleted meanwhile, against whoever has the row.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_row_that_somebody_holds_is_left_for_the_next_time() {
        let Some(db) = postgres().await else { return };
        let until = at(backlog(&db, 2).await);
        let ((arrived, has_arrived), (go, may_go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
        let other = db.clone();
        let holds = tokio::spawn(async move {
            let hold = move |c: &mut db::Conn| {
                store::requests::OLD.forget(c, at(UNIX_EPOCH + Duration::from_micros(1)), 9)?;
                let _ = arrived.send(());
                let _ = may_go.recv();
                // It comes to nothing, so that the row is there still.
                Err::<(), _>(Error::UserNotFound)
            };
            other.write("hold", hold).await
        });
        tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
        let forget = || store::requests::OLD.forget_all(&db, until, || false);
        let forgotten = time::timeout(Duration::from_secs(3), forget());
        assert_eq!(forgotten.await.expect("it does not wait").expect("forgotten"), 1);
        drop(go);
        holds.await.expect("no panic").expect_err("undone");
        assert_eq!(forget().await.expect("forgotten"), 1);
    }
}

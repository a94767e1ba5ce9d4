//! Deleting what nobody needs any more. Nothing depends on it but the size of the database: rows that are over are treated
//! as gone wherever they are read.

use std::{sync::Arc, time::Duration};

use db::At;
use mesh::Shutdown;

use crate::{core::Core, store};

/// Sweeps every `every`, until the shutdown begins: first after some part of it, so that replicas do not all sweep at once.
pub(crate) fn run(core: Arc<Core>, every: Duration, shutdown: Shutdown) -> impl Future<Output = ()> + Send {
    // Drawn before anything else is: one seed is to give one history.
    let first = core.random.between(Duration::ZERO..every);
    keep(core, first, every, shutdown)
}

async fn keep(core: Arc<Core>, first: Duration, every: Duration, shutdown: Shutdown) {
    let mut pause = first;
    while shutdown.unless_begun(tokio::time::sleep(pause)).await.is_some() {
        pause = every;
        match all(&core, &shutdown).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "old rows deleted"),
            Err(error) => tracing::warn!(%error, "old rows were not deleted"),
        }
    }
}

async fn all(core: &Core, shutdown: &Shutdown) -> Result<usize, db::Error> {
    let (mut gone, now) = (0, At::from(core.clock.now()));
    for old in store::OLD {
        gone += old.forget_all(&core.db, now, || shutdown.is_begun()).await?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::SystemTime};

    use db::Db;
    use mesh::{Clock, Random};
    use tokio::time::{advance, sleep};
    use uuid::Uuid;

    use super::*;
    use crate::{
        carrier::{Carrier, Delivering, Message, Outcome},
        code::{Code, Keys},
        config::Config,
        destination::Destination,
        send::{self, Opening, Purpose},
        verify::{self, Guess},
    };

    /// Keeps the last code.
    #[derive(Default)]
    struct Keeper(Mutex<Option<Code>>);

    impl Carrier for Keeper {
        fn deliver<'a>(&'a self, message: &'a Message) -> Delivering<'a> {
            *self.0.lock().expect("nobody panicked") = message.code.clone().map(|(code, _)| code);
            Box::pin(async { Outcome::Sent })
        }
    }

    async fn core(folder: &tempfile::TempDir, keeper: &Arc<Keeper>) -> Arc<Core> {
        let config = Config::load(None).expect("the default");
        let url = format!("sqlite:{}", folder.path().join("sms.db").display());
        let options = db::Options { inline: true, ..db::Options::new(url) };
        Arc::new(Core {
            clock: Clock::simulated(SystemTime::UNIX_EPOCH),
            random: Random::seeded(1),
            db: Db::open(options, crate::MIGRATIONS).await.expect("a database"),
            keys: Keys::derive(&[1; 32]),
            limits: Arc::new(config.limits.limits),
            code_digits: 6,
            carrier: Arc::clone(keeper) as Arc<dyn Carrier>,
            carrier_timeout: Duration::from_secs(1),
            tally: db::work::Tally::new("deliveries", []),
        })
    }

    async fn approved(core: &Arc<Core>, keeper: &Keeper, id: u128, email: &str) {
        let (request_id, verification_id, user_id) = (Uuid::from_u128(id), Uuid::from_u128(id + 1), Uuid::from_u128(9));
        let (purpose, destination) = (Purpose::VerifyIdentifier, Destination::email(email).expect("an address"));
        let opening = Opening { request_id, verification_id, user_id, purpose, destination, decoy: false };
        send::first(core, opening).await.expect("sent");
        let code = keeper.0.lock().expect("nobody panicked").take().expect("a code");
        let guess = Guess { request_id, verification_id, user_id, purpose, code };
        assert_eq!(verify::verify(core, guess).await.expect("checked").verdict, verify::Verdict::Approved);
    }

    #[tokio::test(start_paused = true)]
    async fn rows_go_when_they_are_over_and_approvals_when_they_were_acknowledged_or_a_week_old() {
        let (folder, keeper) = (tempfile::tempdir().expect("a folder"), Arc::default());
        let core = core(&folder, &keeper).await;
        let shutdown = Shutdown::manual();
        approved(&core, &keeper, 10, "anna@example.com").await;
        approved(&core, &keeper, 20, "bert@example.com").await;
        crate::acknowledge::acknowledge(&core, Uuid::from_u128(21)).await.expect("acknowledged");

        advance(Duration::from_secs(24 * 3600) - Duration::from_micros(1)).await;
        assert_eq!(all(&core, &shutdown).await.expect("swept"), 0, "to the last microsecond");
        advance(Duration::from_secs(1)).await;
        // One verification; two sends, two destinations. The guesses stay, for both are approvals.
        assert_eq!(all(&core, &shutdown).await.expect("swept"), 5);
        advance(Duration::from_secs(6 * 24 * 3600)).await;
        assert_eq!(all(&core, &shutdown).await.expect("swept"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn sweeping_stops_with_the_service() {
        let (folder, shutdown) = (tempfile::tempdir().expect("a folder"), Shutdown::manual());
        let core = core(&folder, &Arc::default()).await;
        let sweeper = tokio::spawn(run(core, Duration::from_secs(300), shutdown.clone()));
        sleep(Duration::from_secs(3600)).await;
        assert!(!sweeper.is_finished());
        shutdown.begin();
        sweeper.await.expect("ended");
    }
}

//! Who does what falls due, on both engines and in every mode.

use crate::world::everywhere;

everywhere!(all_that_is_due_is_done_some_at_a_time, nothing_is_under_way_in_the_end);

mod stories {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use db::{
        At, Db, Error, Lease, Work,
        work::{Duty, attend},
    };
    use tokio::{
        sync::{Notify, Semaphore},
        time::{sleep, timeout},
    };
    use uuid::Uuid;

    const ERRANDS: Work = Work::new("errands", "whose");

    /// Attempts that take as long as the test says.
    pub struct Errands {
        pub db: Db,
        claims: AtomicUsize,
        begun: Semaphore,
        may_end: Semaphore,
        done: AtomicUsize,
        underway: AtomicUsize,
        most: AtomicUsize,
        end: Notify,
    }

    impl Duty for Errands {
        const NAME: &'static str = "errands";

        async fn claim(&self, target: i16, most: i64) -> Result<Vec<Lease>, Error> {
            let token = Uuid::from_u128(1 + self.claims.fetch_add(1, SeqCst) as u128);
            self.db.write("claim", move |c| Ok(ERRANDS.claim(c, target, most, token, At(9), At(0))?)).await
        }

        async fn attempt(self: Arc<Self>, lease: Lease) {
            self.most.fetch_max(self.underway.fetch_add(1, SeqCst) + 1, SeqCst);
            self.begun.add_permits(1);
            self.may_end.acquire().await.unwrap().forget();
            self.db.write("finish", move |c| Ok::<_, Error>(ERRANDS.finish(c, &lease)?)).await.unwrap();
            self.underway.fetch_sub(1, SeqCst);
            self.done.fetch_add(1, SeqCst);
        }

        async fn rest(&self, _target: i16) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    impl Errands {
        pub async fn owed(db: Db, count: u128) -> Arc<Self> {
            let owe = move |c: &mut db::Conn| {
                (1..=count).map(Uuid::from_u128).try_for_each(|id| {
                    ERRANDS.owe(c, id, &Lease::free(id, 1), At(0), At(0)).map(drop).map_err(Error::from)
                })
            };
            db.write("owe", owe).await.unwrap();
            let (begun, may_end) = (Semaphore::new(0), Semaphore::new(0));
            let [claims, done, underway, most] = [0; 4].map(AtomicUsize::new);
            Arc::new(Self { db, claims, begun, may_end, done, underway, most, end: Notify::new() })
        }

        pub fn attended(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
            let (duty, end) = (Arc::clone(self), Arc::clone(self));
            tokio::spawn(attend(duty, 1, async move { end.end.notified().await }))
        }

        pub async fn all_done(&self, count: usize) {
            self.may_end.add_permits(count);
            while self.done.load(SeqCst) < count {
                sleep(Duration::from_millis(1)).await;
            }
            self.end.notify_one();
        }
    }

    pub async fn all_that_is_due_is_done_some_at_a_time(db: Db) {
        let errands = Errands::owed(db, 100).await;
        let attending = errands.attended();
        errands.begun.acquire_many(16).await.unwrap().forget();
        assert!(timeout(Duration::from_millis(50), errands.begun.acquire()).await.is_err(), "more than its bound");
        errands.all_done(100).await;
        attending.await.unwrap();
        assert_eq!((errands.done.load(SeqCst), errands.most.load(SeqCst)), (100, 16));
    }

    pub async fn nothing_is_under_way_in_the_end(db: Db) {
        let errands = Errands::owed(db, 100).await;
        let mut attending = errands.attended();
        errands.begun.acquire_many(16).await.unwrap().forget();
        errands.end.notify_one();
        assert!(timeout(Duration::from_millis(50), &mut attending).await.is_err(), "it waits for what is under way");
        errands.may_end.add_permits(100);
        attending.await.unwrap();
        assert_eq!((errands.done.load(SeqCst), errands.underway.load(SeqCst)), (16, 0), "and begins no more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_failed_is_made_again() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let left = AtomicUsize::new(3);
    let refused = move |job: &str| match job {
        "claim" if left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() => db::Fate::Refuse,
        _ => db::Fate::Run,
    };
    let world = crate::world::World::sqlite(|options| {
        (options.inline, options.faults) = (true, db::Faults::new(refused));
    });
    let errands = stories::Errands::owed(world.await.db, 20).await;
    let attending = errands.attended();
    tokio::time::timeout(std::time::Duration::from_secs(60), errands.all_done(20)).await.unwrap();
    attending.await.unwrap();
}

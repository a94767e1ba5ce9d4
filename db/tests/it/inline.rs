//! Closures on the calling thread, under a clock that stands still.

use crate::store::{self, user};
use crate::world::World;
use db::{Db, Error};
use std::time::Duration;
use tokio::time::Instant;

async fn story(db: Db) {
    let start = Instant::now();
    let here = std::thread::current().id();
    for number in 0..20 {
        db.write("insert", move |c| Ok::<_, Error>(store::insert(c, &user(number))?)).await.unwrap();
    }
    let count = db.read("count", |c| Ok::<_, Error>(store::count(c)?));
    assert_eq!(tokio::time::timeout(Duration::from_millis(1), count).await.unwrap().unwrap(), 20);
    assert_eq!(start.elapsed(), Duration::ZERO, "the clock ran ahead");
    assert_eq!(here, std::thread::current().id());
}

#[tokio::test(start_paused = true)]
async fn the_clock_does_not_run_ahead_on_sqlite() {
    let World { db, _folder: folder, .. } = World::sqlite(|options| options.inline = true).await;
    let inside = db.read("thread", |_| Ok::<_, Error>(std::thread::current().id())).await.unwrap();
    assert_eq!(inside, std::thread::current().id());
    story(db).await;
    drop(folder);
}

#[tokio::test(start_paused = true)]
async fn the_clock_does_not_run_ahead_on_postgres() {
    let Some(world) = World::postgres(|options| options.inline = true).await else { return };
    story(world.db).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_read_from_the_paused_clock() {
    fn soon() -> Option<Instant> {
        // As far as the test is concerned, an hour has gone by.
        Some(Instant::now() - Duration::from_secs(1))
    }
    let World { db, _folder: folder, .. } = World::sqlite(|options| {
        options.inline = true;
        options.deadline = soon;
    })
    .await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(matches!(db.write("late", |_| Ok::<_, Error>(())).await, Err(Error::Late)));
    drop(folder);
}

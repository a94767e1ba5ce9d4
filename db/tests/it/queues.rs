//! What waits, and for how long.

use crate::world::{World, gate, gated};
use db::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let World { db, _folder: folder, .. } = World::sqlite(|options| options.queue = 1).await;
    let (first, mut keeper) = gate();
    let first = gated(&db, first);
    keeper.arrival().await;
    let waiting = db.clone();
    let waiting = tokio::spawn(async move { waiting.write("waiting", |_| Ok::<_, Error>(())).await });
    tokio::task::yield_now().await;
    assert!(matches!(db.write("full", |_| Ok::<_, Error>(())).await, Err(Error::Full)));
    keeper.open();
    first.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    drop(folder);
}

#[tokio::test]
async fn a_job_that_waited_too_long_is_not_touched() {
    let World { db, _folder: folder, .. } =
        World::sqlite(|options| options.patience = Duration::from_millis(100)).await;
    let (first, mut keeper) = gate();
    let first = gated(&db, first);
    keeper.arrival().await;
    let ran = Arc::new(AtomicBool::new(false));
    let (late, touched) = (db.clone(), Arc::clone(&ran));
    let late = tokio::spawn(async move {
        late.write("late", move |_| {
            touched.store(true, Ordering::Relaxed);
            Ok::<_, Error>(())
        })
        .await
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    keeper.open();
    assert!(matches!(late.await.unwrap(), Err(Error::Late)));
    assert!(!ran.load(Ordering::Relaxed));
    first.await.unwrap().unwrap();
    drop(folder);
}

#[tokio::test]
async fn the_deadline_of_the_call_counts() {
    let World { db, _folder: folder, .. } = World::sqlite(|options| options.deadline = || Some(Instant::now())).await;
    assert!(matches!(db.write("late", |_| Ok::<_, Error>(())).await, Err(Error::Late)));
    assert!(matches!(db.read("late", |_| Ok::<_, Error>(())).await, Err(Error::Late)));
    drop(folder);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_its_write() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    let (first, mut keeper) = gate();
    let first = gated(&db, first);
    keeper.arrival().await;
    first.abort();
    let next = db.write("next", |_| Ok::<_, Error>(()));
    keeper.open();
    next.await.unwrap();
    drop(folder);
}

//! SQLite commits in groups.

use crate::store::{self, user};
use crate::world::{World, gate, gated};
use db::{Db, Error};
use std::time::Duration;

async fn users(db: &Db) -> i64 {
    db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap()
}

#[tokio::test]
async fn nobody_is_answered_before_the_commit() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    let (first, mut keeper) = gate();
    let first = gated(&db, first);
    keeper.arrival().await;

    // Both wait, so they make one group; the second holds it open.
    let early = db.clone();
    let early = async move { early.write("early", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await };
    let mut early = tokio::spawn(early);
    tokio::task::yield_now().await;
    let (second, mut later) = gate();
    let second = gated(&db, second);
    tokio::task::yield_now().await;
    keeper.open();
    later.arrival().await;

    assert!(tokio::time::timeout(Duration::from_millis(50), &mut early).await.is_err(), "answered before the commit");
    assert_eq!(users(&db).await, 0, "seen before the commit");
    later.open();
    assert_eq!(early.await.unwrap().unwrap(), 1);
    assert_eq!(users(&db).await, 1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    drop(folder);
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let jobs: Vec<_> = (0..100)
        .map(|number| {
            let db = db.clone();
            let insert =
                async move { db.write("insert", move |c| Ok::<_, Error>(store::insert(c, &user(number))?)).await };
            tokio::spawn(insert)
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    db.close().await;
    let db = Db::open(db::Options::new(url), crate::world::migrations()).await.unwrap();
    assert_eq!(users(&db).await, 100);
    drop(folder);
}

#[tokio::test]
async fn a_read_sees_one_state() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    let (at, mut keeper) = gate();
    let reading = db.clone();
    let counts = tokio::spawn(async move {
        let counts = reading.read("twice", move |c| {
            let before = store::count(c)?;
            at.pass();
            Ok::<_, Error>((before, store::count(c)?))
        });
        counts.await
    });
    keeper.arrival().await;
    db.write("between", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
    keeper.open();
    assert_eq!(counts.await.unwrap().unwrap(), (0, 0));
    assert_eq!(users(&db).await, 1);
    drop(folder);
}

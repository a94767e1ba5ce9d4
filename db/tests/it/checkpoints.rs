//! SQLite's journal is moved into the file beside the writer.

use crate::store::{self, user};
use crate::world::{Keeper, World, gate};
use db::{Conn, Db, Error};
use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use std::fs::metadata;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

#[tokio::test]
async fn what_is_committed_reaches_the_file_long_before_the_writer_sees_to_it() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let file = url.strip_prefix("sqlite:").unwrap();
    let before = metadata(file).unwrap().len();
    // The writer would after 16384 pages; a commit of these has a handful.
    for number in 0..1500 {
        db.write("insert", move |c| Ok::<_, Error>(store::insert(c, &user(number)).map(drop)?)).await.unwrap();
        if metadata(file).unwrap().len() > before {
            return drop(folder);
        }
    }
    panic!("the journal only grows");
}

/// Where the writer begins the journal anew if nobody reads, what its file is held to otherwise, and what one commit of the story adds.
const SHORTEST: u64 = 64 << 20;
const LONGEST: u64 = 80 << 20;
const COMMIT: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_without_a_pause_do_not_make_the_journal_grow_without_bound() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let journal = format!("{}-wal", url.strip_prefix("sqlite:").unwrap());
    db.write("table", |c| Ok::<_, Error>(execute(c, "CREATE TABLE heap (it BLOB)")?)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reads = tokio::spawn(overlap(db.clone(), Arc::clone(&stop)));
    let mut longest = 0;
    // Twice as much as is allowed. The same pages again and again, so that moving them is little.
    for _ in 0..2 * LONGEST / COMMIT {
        let sql = format!("DELETE FROM heap; INSERT INTO heap VALUES (zeroblob({COMMIT}))");
        db.write("fill", move |c| Ok::<_, Error>(execute(c, &sql)?)).await.unwrap();
        longest = longest.max(metadata(&journal).unwrap().len());
    }
    stop.store(true, Ordering::Relaxed);
    reads.await.unwrap();
    assert!(longest > SHORTEST, "the journal never was long: {longest}");
    assert!(longest < LONGEST + 2 * COMMIT, "the journal grew to {longest}");
    drop(folder);
}

/// Reads without a pause: each ends when the next has begun.
async fn overlap(db: Db, stop: Arc<AtomicBool>) {
    let mut last = begun(&db).await;
    while !stop.load(Ordering::Relaxed) {
        let next = begun(&db).await;
        end(std::mem::replace(&mut last, next)).await;
    }
    end(last).await;
}

type Reading = (Keeper, JoinHandle<Result<(), Error>>);

async fn begun(db: &Db) -> Reading {
    let ((at, mut keeper), db) = (gate(), db.clone());
    let reading = tokio::spawn(async move {
        let count = db.read("slow", move |c| {
            store::count(c)?;
            at.pass();
            Ok(())
        });
        count.await
    });
    keeper.arrival().await;
    (keeper, reading)
}

async fn end((keeper, reading): Reading) {
    keeper.open();
    reading.await.unwrap().unwrap();
}

fn execute(c: &mut Conn, sql: &str) -> QueryResult<()> {
    db::on!(c => c.batch_execute(sql))
}

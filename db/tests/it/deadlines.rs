//! A statement does not outlast its job, on either engine.

use crate::store::{self, user};
use crate::world::{World, gate, gated, within};
use db::{Conn, Db, Error, on};
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, QueryResult, RunQueryDsl, sql_query};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(10);
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n";

fn execute(c: &mut Conn, sql: &str) -> QueryResult<usize> {
    on!(c => sql_query(sql).execute(c))
}

/// SQLite ends the whole transaction with a write that is interrupted, and only the statement if it reads.
fn endless_write() -> String {
    format!("UPDATE users SET visits = ({ENDLESS})")
}

async fn read(db: &Db) -> Result<usize, Error> {
    db.read("endless", |c| Ok::<_, Error>(execute(c, ENDLESS)?)).await
}

async fn users(db: &Db) -> i64 {
    db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap()
}

async fn insert(db: &Db, number: u128) -> Result<usize, Error> {
    db.write("insert", move |c| Ok::<_, Error>(store::insert(c, &user(number))?)).await
}

async fn a_statement_ends_with_its_deadline(db: Db) {
    insert(&db, 1).await.unwrap();
    // As many as SQLite has readers.
    let both = within(SHORT, async { tokio::join!(read(&db), read(&db)) });
    let both = timeout(LONG, both).await.expect("reads have an end");
    assert!(matches!(both, (Err(Error::Late), Err(Error::Late))), "{both:?}");
    assert_eq!(users(&db).await, 1);
    for sql in [ENDLESS.to_owned(), endless_write()] {
        let write = db.write("endless", move |c| {
            store::insert(c, &user(2))?;
            Ok::<_, Error>(execute(c, &sql)?)
        });
        let ended = timeout(LONG, within(SHORT, write)).await.expect("writes have an end");
        assert!(matches!(ended, Err(Error::Late)), "{ended:?}");
        assert_eq!(users(&db).await, 1, "it was undone");
    }
    insert(&db, 2).await.unwrap();
    assert_eq!(users(&db).await, 2);
}

#[tokio::test]
async fn sqlite() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    a_statement_ends_with_its_deadline(db).await;
    drop(folder);
}

#[tokio::test]
async fn sqlite_in_memory() {
    let World { db, .. } = World::sqlite(|options| options.url = "sqlite::memory:".to_owned()).await;
    a_statement_ends_with_its_deadline(db).await;
}

#[tokio::test]
async fn postgres() {
    let Some(World { db, .. }) = World::postgres(|_| ()).await else { return };
    a_statement_ends_with_its_deadline(db).await;
}

#[tokio::test]
async fn what_is_late_in_a_group_is_late_alone() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    let (first, mut keeper) = gate();
    let first = gated(&db, first);
    keeper.arrival().await;
    let group: Vec<_> = (0..5)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move {
                if number != 2 {
                    return insert(&db, number).await;
                }
                within(SHORT, db.write("endless", |c| Ok::<_, Error>(execute(c, &endless_write())?))).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    keeper.open();
    first.await.unwrap().unwrap();
    for (number, job) in group.into_iter().enumerate() {
        match timeout(LONG, job).await.expect("each has an end").unwrap() {
            Err(error) => assert!(number == 2 && matches!(error, Error::Late), "{number}: {error:?}"),
            Ok(_) => assert_ne!(number, 2),
        }
    }
    assert_eq!(users(&db).await, 4);
    drop(folder);
}

#[tokio::test]
async fn what_waited_for_the_file_too_long_is_not_touched() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let mut other = SqliteConnection::establish(url.strip_prefix("sqlite:").unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let touched = Arc::new(AtomicBool::new(false));
    let (late, touches) = (db.clone(), Arc::clone(&touched));
    let late = tokio::spawn(within(SHORT, async move {
        late.write("late", move |_| {
            touches.store(true, Ordering::Relaxed);
            Ok::<_, Error>(())
        })
        .await
    }));
    sleep(SHORT).await;
    other.batch_execute("COMMIT").unwrap();
    assert!(matches!(late.await.unwrap(), Err(Error::Late)));
    assert!(!touched.load(Ordering::Relaxed));
    insert(&db, 1).await.unwrap();
    drop(folder);
}

//! An engine that fails for a while, for reasons of its own.

use crate::store::{self, User, user};
use crate::world::World;
use db::{Conn, Db, Error};
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;

/// The longest a file of SQLite may become, in pages; it is held to be as long as it is, at least.
const FULL: u32 = 1;
const ROOM: u32 = 100_000;

/// Writes a row that needs pages of its own.
async fn insert(db: &Db, number: u128, pages: u32) -> Result<(), Error> {
    let user = User { email: format!("{number}{}", "@".repeat(10_000)), ..user(number) };
    db.write("insert", move |c| {
        // Each time: SQLite may end the transaction, and the connection with it.
        if let Conn::Sqlite(c) = c {
            c.batch_execute(&format!("PRAGMA max_page_count = {pages}"))?;
        }
        Ok::<_, Error>(store::insert(c, &user).map(drop)?)
    })
    .await
}

async fn users(db: &Db) -> i64 {
    db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_what_may_be_repeated_and_loses_nothing() {
    let World { db, _folder: folder, .. } = World::sqlite(|_| ()).await;
    insert(&db, 0, ROOM).await.unwrap();
    let many: Vec<_> = (1..20)
        .map(|number| {
            let db = db.clone();
            tokio::spawn(async move { insert(&db, number, if number % 4 == 0 { ROOM } else { FULL }).await })
        })
        .collect();
    for (number, one) in (1..).zip(many) {
        match one.await.unwrap() {
            Ok(()) => assert_eq!(number % 4, 0),
            Err(error) => assert!(number % 4 != 0 && matches!(error, Error::Engine(_)), "{number}: {error:?}"),
        }
    }
    assert_eq!(users(&db).await, 5, "a refusal is its own alone");
    insert(&db, 1, ROOM).await.unwrap();
    assert_eq!(users(&db).await, 6);
    drop(folder);
}

#[tokio::test]
async fn what_the_server_could_not_do_may_be_repeated() {
    let Some(World { db, .. }) = World::postgres(|options| options.threads = 1).await else { return };
    let no_room = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$";
    for sql in [no_room, "SELECT pg_cancel_backend(pg_backend_pid())"] {
        let refused = db.write("refused", move |c| {
            store::insert(c, &user(1))?;
            let Conn::Postgres(c) = c else { panic!("not PostgreSQL") };
            Ok::<_, Error>(diesel::sql_query(sql).execute(c)?)
        });
        let refused = refused.await.unwrap_err();
        assert!(matches!(refused, Error::Engine(_)), "{refused:?}");
    }
    assert_eq!(users(&db).await, 0);
    insert(&db, 1, ROOM).await.unwrap();
}

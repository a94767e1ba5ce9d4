//! Opening, migrating, and what is refused.

use crate::store;
use crate::world::{World, empty_postgres, gate, migrations, run_on_postgres};
use db::{Db, Error, Migrations, OpenError, Options};
use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::EmbeddedMigrations;
use std::time::Duration;

const UNKNOWN: &str = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')";
const MISNAMED: &str = "CREATE TABLE extra (a int, b int); CREATE UNIQUE INDEX taken ON extra (b, a)";

async fn open(url: &str) -> Result<Db, OpenError> {
    Db::open(Options::new(url), migrations()).await
}

fn path(url: &str) -> &str {
    url.strip_prefix("sqlite:").unwrap()
}

#[tokio::test]
async fn one_process_at_a_time_has_a_file() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    let refused = open(&url).await.err().unwrap();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().contains("test.db is in use"), "{refused}");
    db.close().await;
    open(&url).await.unwrap().close().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_that_open_a_fresh_file_one_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("fresh.db").display());
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url).await })
        })
        .collect();
    let mut opened = Vec::new();
    for opener in openers {
        match opener.await.unwrap() {
            Ok(db) => opened.push(db),
            Err(error) => assert!(matches!(error, OpenError::Locked { .. }), "{error}"),
        }
    }
    let [db] = opened.try_into().ok().expect("one");
    assert_eq!(db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_replicas_migrate_one_after_the_other() {
    let Some(url) = empty_postgres().await else { return };
    let openers: Vec<_> = (0..10)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url).await })
        })
        .collect();
    for opener in openers {
        let db = opener.await.unwrap().unwrap();
        assert_eq!(db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap(), 0);
    }
}

/// As of a program that has one more migration; it refers to the users.
const BEFORE_THE_NOTES: &str =
    "DROP TABLE notes; DELETE FROM __diesel_schema_migrations WHERE version = '20260102000000'";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_that_waits_for_a_table_does_not_keep_others_from_it() {
    let Some(World { db, url, .. }) = World::postgres(|options| options.patience = Duration::from_secs(3)).await else {
        return;
    };
    run_on_postgres(url.clone(), BEFORE_THE_NOTES.to_owned()).await;
    let (gate, mut keeper) = gate();
    let other = db.clone();
    let long = tokio::spawn(async move {
        other
            .write("long", move |c| {
                store::insert(c, &store::user(1))?;
                gate.pass();
                Ok::<_, Error>(())
            })
            .await
    });
    keeper.arrival().await;
    let opening = tokio::spawn(async move { open(&url).await });
    while db.read("waiting", |c| Ok::<_, Error>(store::waits_for_a_lock(c)?)).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    db.write("short", |c| Ok::<_, Error>(store::insert(c, &store::user(2))?)).await.unwrap();
    assert!(!opening.is_finished());
    keeper.open();
    // It has done its part, in time or not.
    let _ = long.await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_newer_sqlite_file_is_refused() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    db.close().await;
    SqliteConnection::establish(path(&url)).unwrap().batch_execute(UNKNOWN).unwrap();
    let refused = open(&url).await.err().unwrap();
    assert!(refused.to_string().contains("newer than this program"), "{refused}");
    assert!(refused.to_string().contains("20990101000000"), "{refused}");
    // The lock is given back with the refusal.
    assert!(matches!(open(&url).await.err().unwrap(), OpenError::Newer { .. }));
    drop(folder);
}

#[tokio::test]
async fn a_newer_postgres_database_is_refused() {
    let Some(world) = World::postgres(|_| ()).await else { return };
    run_on_postgres(world.url.clone(), UNKNOWN.to_owned()).await;
    assert!(matches!(open(&world.url).await.err().unwrap(), OpenError::Newer { .. }));
}

#[tokio::test]
async fn an_index_whose_name_would_not_tell_is_refused() {
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    db.close().await;
    SqliteConnection::establish(path(&url)).unwrap().batch_execute(MISNAMED).unwrap();
    let refused = open(&url).await.err().unwrap();
    assert_eq!(refused.to_string(), "the unique index taken must be called extra_b_a_key");
    drop(folder);
    let Some(world) = World::postgres(|_| ()).await else { return };
    run_on_postgres(world.url.clone(), MISNAMED.to_owned()).await;
    let refused = open(&world.url).await.err().unwrap();
    assert_eq!(refused.to_string(), "the unique index taken must be called extra_b_a_key");
}

#[tokio::test]
async fn migrations_of_other_names_are_refused() {
    let differing = Migrations { postgres: EmbeddedMigrations::new(&[]), ..migrations() };
    let refused = Db::open(Options::new("sqlite::memory:"), differing).await.err().unwrap();
    assert!(matches!(refused, OpenError::Differ { .. }), "{refused}");
}

#[tokio::test]
async fn a_bad_address_is_refused_without_repeating_it() {
    for url in ["", "secret", "mysql://root:secret@host/x", "sqlite:", "postgres://u:secret@host:port/x"] {
        let refused = open(url).await.err().unwrap().to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let World { db, url, _folder: folder } = World::sqlite(|_| ()).await;
    db.write("insert", |c| Ok::<_, Error>(store::insert(c, &store::user(1))?)).await.unwrap();
    for end in ["", "-wal", "-shm", ".lock"] {
        let mode = std::fs::metadata(format!("{}{end}", path(&url))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
    drop(folder);
}

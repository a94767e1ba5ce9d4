//! A fresh database for each test.

use db::{Conn, Db, Migrations, Options};
use diesel_migrations::embed_migrations;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::Instant;

const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations/sqlite"),
    postgres: embed_migrations!("tests/migrations/postgres"),
};

pub fn migrations() -> Migrations {
    MIGRATIONS
}

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Asks the database as the handler of a call which must be answered within `time`.
pub async fn within<F: Future>(time: Duration, asking: F) -> F::Output {
    DEADLINE.scope(Instant::now() + time, asking).await
}

/// A database, and what has to outlive it.
pub struct World {
    pub db: Db,
    pub url: String,
    pub _folder: Option<tempfile::TempDir>,
}

impl World {
    pub async fn sqlite(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("data/test.db").display());
        Self::open(url, Some(folder), change).await
    }

    /// `None`, and a line that says so, without a server.
    pub async fn postgres(change: impl FnOnce(&mut Options)) -> Option<Self> {
        Some(Self::open(empty_postgres().await?, None, change).await)
    }

    async fn open(url: String, folder: Option<tempfile::TempDir>, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new(&url);
        options.patience = Duration::from_secs(20);
        options.deadline = || DEADLINE.try_with(Clone::clone).ok();
        change(&mut options);
        let db = Db::open(options, migrations()).await.unwrap();
        Self { db, url, _folder: folder }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge of the tests")]
fn server() -> Option<String> {
    std::env::var("PLAZA_TEST_POSTGRES").ok()
}

/// The address of a new, empty PostgreSQL database.
pub async fn empty_postgres() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(server) = server() else {
        println!("skipped: PLAZA_TEST_POSTGRES names no server");
        return None;
    };
    let name = format!("plaza_db_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let base = server.rsplit_once('/').filter(|(head, _)| !head.ends_with('/')).map_or(&*server, |(head, _)| head);
    let url = format!("{base}/{name}");
    run_on_postgres(server.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    run_on_postgres(server, format!("CREATE DATABASE {name}")).await;
    Some(url)
}

/// Runs statements on a connection of their own.
pub async fn run_on_postgres(url: String, sql: String) {
    let run = move || db::script(&url, &sql).unwrap();
    tokio::task::spawn_blocking(run).await.unwrap();
}

/// One story on every engine and in every mode.
macro_rules! everywhere {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            use crate::world::World;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::stories::$name(World::sqlite(|_| ()).await.db).await;
            }

            #[tokio::test]
            async fn sqlite_in_memory() {
                super::stories::$name(World::sqlite(|options| options.url = "sqlite::memory:".to_owned()).await.db).await;
            }

            #[tokio::test]
            async fn sqlite_inline() {
                super::stories::$name(World::sqlite(|options| options.inline = true).await.db).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(world) = World::postgres(|_| ()).await else { return };
                super::stories::$name(world.db).await;
            }

            #[tokio::test]
            async fn postgres_inline() {
                let Some(world) = World::postgres(|options| options.inline = true).await else { return };
                super::stories::$name(world.db).await;
            }
        }
    )* };
}
pub(crate) use everywhere;

/// A closure's half of a meeting: it says that it has come this far, and waits until it may go on.
pub struct Gate {
    arrived: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
}

/// The test's half.
pub struct Keeper {
    arrived: Option<mpsc::Receiver<()>>,
    go: mpsc::Sender<()>,
}

pub fn gate() -> (Gate, Keeper) {
    let (arrived, has_arrived) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    (Gate { arrived, go: may_go }, Keeper { arrived: Some(has_arrived), go })
}

impl Gate {
    pub fn pass(&self) {
        // A second run finds nobody waiting, and passes.
        let _ = self.arrived.send(());
        let _ = self.go.recv();
    }
}

impl Keeper {
    /// Returns when the closure stands at the gate.
    pub async fn arrival(&mut self) {
        let arrived = self.arrived.take().unwrap();
        tokio::task::spawn_blocking(move || arrived.recv().unwrap()).await.unwrap();
    }

    /// Lets it go on.
    pub fn open(self) {
        let _ = self.go.send(());
    }
}

/// A write which stands at a gate.
pub fn gated(db: &Db, gate: Gate) -> tokio::task::JoinHandle<Result<(), db::Error>> {
    let db = db.clone();
    tokio::spawn(async move {
        db.write("gated", move |_: &mut Conn| {
            gate.pass();
            Ok(())
        })
        .await
    })
}

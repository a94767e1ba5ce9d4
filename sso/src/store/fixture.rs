//! Databases for tests of statements.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use db::{Conn, Db, Options};
use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _,
    connection::{InstrumentationEvent, SimpleConnection as _},
    sql_types::Text,
};
use tempfile::TempDir;

use super::MIGRATIONS;
use crate::error::Error;

/// A new SQLite in a folder.
pub(crate) async fn sqlite(folder: &TempDir) -> Db {
    let url = format!("sqlite:{}", folder.path().join("sso.db").display());
    Db::open(Options::new(url), MIGRATIONS).await.expect("a database")
}

/// A new database on the server that `PLAZA_TEST_POSTGRES` names, if it names one.
#[allow(clippy::disallowed_methods, reason = "the edge of the tests")]
pub(crate) async fn postgres() -> Option<Db> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("PLAZA_TEST_POSTGRES").ok()?;
    let name = format!("plaza_sso_store_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let base = server.rsplit_once('/').filter(|(head, _)| !head.ends_with('/')).map_or(&*server, |(head, _)| head);
    let url = format!("{base}/{name}");
    // The connection brings a runtime of its own, which has no place in the one of the test.
    let create = move || {
        let mut connection = db::PgConn::establish(&server).expect("the server");
        let sql = format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}");
        sql.split(';').for_each(|sql| connection.batch_execute(sql).expect("a new database"));
    };
    tokio::task::spawn_blocking(create).await.expect("created");
    Some(Db::open(Options::new(url), MIGRATIONS).await.expect("a database"))
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// How SQLite goes about all that `ask` asks.
pub(crate) async fn plans(db: &Db, mut ask: impl FnMut(&mut Conn) + Send + 'static) -> Vec<String> {
    let planned = db.write("plans", move |c| {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        if let Conn::Sqlite(c) = c {
            c.set_instrumentation(move |event: InstrumentationEvent<'_>| {
                if let InstrumentationEvent::StartQuery { query, .. } = event {
                    heard.lock().expect("nobody panicked").push(query.to_string());
                }
            });
        }
        ask(c);
        let Conn::Sqlite(c) = c else { return Ok(Vec::new()) };
        c.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let mut steps = Vec::new();
        for query in asked.lock().expect("nobody panicked").iter() {
            let plan: Vec<Step> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}")).load(c)?;
            steps.extend(plan.into_iter().map(|step| step.detail));
        }
        Ok::<_, Error>(steps)
    });
    planned.await.expect("a plan")
}

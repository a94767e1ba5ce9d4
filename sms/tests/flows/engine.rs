//! The databases that stories are told on.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::{Connection as _, connection::SimpleConnection as _};

/// Which database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Makes two tests of each story, one for each engine, under paused time.
macro_rules! on_both_engines {
    ($($story:ident),* $(,)?) => {
        $crate::engine::on_both_engines! { #[tokio::test(start_paused = true)] $($story)* }
    };
    (#[$test:meta] $($story:ident)*) => { $(
        mod $story {
            use crate::engine::{Engine, server};

            #[$test]
            async fn sqlite() {
                super::$story(Engine::Sqlite).await;
            }

            #[$test]
            async fn postgres() {
                match server() {
                    Some(_) => super::$story(Engine::Postgres).await,
                    None => println!("skipped: PLAZA_TEST_POSTGRES names no server"),
                }
            }
        }
    )* };
}
pub(crate) use on_both_engines;

/// The same on threads and in real time.
macro_rules! on_both_engines_at_once {
    ($($story:ident),* $(,)?) => {
        $crate::engine::on_both_engines! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)] $($story)*
        }
    };
}
pub(crate) use on_both_engines_at_once;

/// The PostgreSQL server to test on, if there is one.
#[allow(clippy::disallowed_methods, reason = "the edge of the tests")]
pub(crate) fn server() -> Option<String> {
    std::env::var("PLAZA_TEST_POSTGRES").ok()
}

/// The address of a new, empty database on that server.
pub(crate) fn empty_postgres() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server().unwrap();
    let name = format!("plaza_sms_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let base = server.rsplit_once('/').filter(|(head, _)| !head.ends_with('/')).map_or(&*server, |(head, _)| head);
    let url = format!("{base}/{name}");
    // The connection brings a runtime of its own, which has no place in the one of the test.
    let create = move || {
        let mut connection = db::PgConn::establish(&server).unwrap();
        connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).unwrap();
        connection.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    };
    std::thread::spawn(create).join().unwrap();
    url
}

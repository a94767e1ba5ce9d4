//! What only a server can do to us.

use crate::store::{self, id, user};
use crate::world::{World, run_on_postgres};
use db::{Conn, Db, Error};
use diesel::prelude::*;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

diesel::define_sql_function! { fn pg_backend_pid() -> diesel::sql_types::Integer; }

fn pid(c: &mut Conn) -> Result<i32, Error> {
    let Conn::Postgres(c) = c else { panic!("not PostgreSQL") };
    Ok(diesel::select(pg_backend_pid()).get_result(c)?)
}

fn run(c: &mut Conn, sql: &str) -> Result<usize, Error> {
    let Conn::Postgres(c) = c else { panic!("not PostgreSQL") };
    Ok(diesel::sql_query(sql).execute(c)?)
}

async fn one_thread() -> Option<World> {
    World::postgres(|options| options.threads = 1).await
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(300))
}

async fn count(db: &Db) -> i64 {
    db.read("count", |c| Ok::<_, Error>(store::count(c)?)).await.unwrap()
}

#[tokio::test]
async fn the_server_ends_a_statement_at_the_deadline() {
    let change = |options: &mut db::Options| {
        options.threads = 1;
        options.deadline = soon;
    };
    let Some(World { db, .. }) = World::postgres(change).await else { return };
    let before = db.read("pid", pid).await.unwrap();
    let start = Instant::now();
    let late = db.write("sleep", |c| run(c, "SELECT pg_sleep(5)")).await;
    assert!(matches!(late, Err(Error::Late)), "{late:?}");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(db.read("pid", pid).await.unwrap(), before, "the connection was not used again");
}

#[tokio::test]
async fn a_session_that_ended_between_two_jobs_is_replaced() {
    let Some(World { db, url, .. }) = one_thread().await else { return };
    let before = db.read("pid", pid).await.unwrap();
    run_on_postgres(url, format!("SELECT pg_terminate_backend({before}, 5000)")).await;
    db.write("insert", |c| Ok::<_, Error>(store::insert(c, &user(1))?)).await.unwrap();
    assert_ne!(db.read("pid", pid).await.unwrap(), before);
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_closure_is_run_again_when_its_session_ends_before_the_commit() {
    let Some(World { db, .. }) = one_thread().await else { return };
    let mut runs = 0;
    let runs = db.write("insert", move |c| {
        runs += 1;
        store::insert(c, &user(1))?;
        if runs == 1 {
            run(c, "SELECT pg_terminate_backend(pg_backend_pid())")?;
        }
        Ok::<_, Error>(runs)
    });
    assert_eq!(runs.await.unwrap(), 2);
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_session_that_ends_in_the_commit_leaves_the_outcome_unknown() {
    let Some(World { db, url, .. }) = one_thread().await else { return };
    run_on_postgres(
        url,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END'; \
         CREATE CONSTRAINT TRIGGER die AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED \
            FOR EACH ROW EXECUTE FUNCTION die()"
            .to_owned(),
    )
    .await;
    let unknown = db.write("note", |c| {
        store::insert(c, &user(1))?;
        Ok::<_, Error>(store::note(c, id(1), id(1))?)
    });
    assert!(matches!(unknown.await, Err(Error::OutcomeUnknown)));
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_failed_statement_that_was_passed_over_is_not_reported_as_done() {
    let Some(World { db, .. }) = one_thread().await else { return };
    let done = db.write("careless", |c| {
        store::insert(c, &user(1))?;
        let _ = store::insert(c, &user(1));
        Ok::<_, Error>(())
    });
    assert!(matches!(done.await, Err(Error::Engine(_))));
    assert_eq!(count(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_run_again() {
    let Some(World { db, .. }) = World::postgres(|_| ()).await else { return };
    db.write("users", |c| {
        store::insert(c, &user(1))?;
        Ok::<_, Error>(store::insert(c, &user(2))?)
    })
    .await
    .unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let jobs = [(1, 2), (2, 1)].map(|(first, second)| {
        let (db, barrier, runs) = (db.clone(), Arc::clone(&barrier), Arc::clone(&runs));
        let mut met = false;
        tokio::spawn(async move {
            db.write("crossing", move |c| {
                runs.fetch_add(1, Ordering::Relaxed);
                // RETURNING makes the error come with the rows, not with the statement.
                run(c, &format!("UPDATE users SET visits = visits + 1 WHERE username = 'user{first}'"))?;
                if !std::mem::replace(&mut met, true) {
                    barrier.wait();
                }
                let Conn::Postgres(c) = c else { panic!("not PostgreSQL") };
                diesel::update(store::users::table.find(id(second)))
                    .set(store::users::visits.eq(store::users::visits + 1))
                    .returning(store::users::visits)
                    .get_result::<i64>(c)
                    .map_err(Error::from)
            })
            .await
        })
    });
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    let visits = db.read("visits", |c| Ok::<_, Error>(store::find(c, id(1))?.unwrap().visits)).await.unwrap();
    assert_eq!(visits, 2);
}

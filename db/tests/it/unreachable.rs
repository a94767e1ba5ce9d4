//! A server that is away, is silent, or does not write.

use crate::proxy::{Mood, Proxy};
use crate::store::{self, user};
use crate::world::{World, empty_postgres, migrations, run_on_postgres};
use db::{Conn, Db, Error, OpenError, Options};
use diesel::connection::SimpleConnection;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(300))
}

async fn insert(db: &Db) -> Result<(), Error> {
    db.write("insert", |c| Ok::<_, Error>(store::insert(c, &user(1)).map(drop)?)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_does_not_keep_a_thread() {
    let Some(url) = empty_postgres().await else { return };
    let proxy = Proxy::before(&url).await;
    let mut options = Options::new(&proxy.url);
    options.threads = 1;
    options.deadline = soon;
    let db = Db::open(options, migrations()).await.unwrap();
    db.reachable().await.unwrap();
    proxy.be(Mood::Silent);
    let start = Instant::now();
    assert!(insert(&db).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(3));
    proxy.be(Mood::Open);
    db.reachable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for() {
    let Some(url) = empty_postgres().await else { return };
    let mut proxy = Proxy::before(&url).await;
    proxy.be(Mood::Closed);
    let opening = tokio::spawn(Db::open(Options::new(&proxy.url), migrations()));
    proxy.turned_away().await;
    proxy.turned_away().await;
    assert!(!opening.is_finished());
    proxy.be(Mood::Open);
    opening.await.unwrap().unwrap().reachable().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_goes_away_before_the_start_is_over_is_waited_for_too() {
    let Some(url) = empty_postgres().await else { return };
    let mut proxy = Proxy::before(&url).await;
    let patience = Duration::from_millis(200);
    let options = |wait| Options { patience, wait, ..Options::new(&proxy.url) };
    let db = Db::open(options(None), migrations()).await.unwrap();
    let hurried = Db::open(options(Some(Duration::ZERO)), migrations()).await.unwrap();
    proxy.be(Mood::Closed);
    assert!(hurried.at_the_start(|| insert(&hurried), Error::is_away).await.is_err());
    let starting = tokio::spawn(async move { db.at_the_start(|| insert(&db), Error::is_away).await });
    for _ in 0..10 {
        proxy.turned_away().await;
    }
    assert!(!starting.is_finished());
    proxy.be(Mood::Open);
    starting.await.unwrap().unwrap();
}

/// The pause that all threads of a process share: each for itself dialled every 50 ms, and warned of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_away_is_not_stormed_and_is_found_when_it_is_back() {
    let Some(url) = empty_postgres().await else { return };
    let mut proxy = Proxy::before(&url).await;
    let options = Options { threads: 8, deadline: in_two_seconds, ..Options::new(&proxy.url) };
    let db = Db::open(options, migrations()).await.unwrap();
    proxy.be(Mood::Closed);
    let mut asking = JoinSet::new();
    for _ in 0..16 {
        let db = db.clone();
        asking.spawn(async move { db.reachable().await });
    }
    assert!(asking.join_all().await.iter().all(Result::is_err), "it is away");
    let dials = proxy.turned_away_meanwhile();
    assert!((4..30).contains(&dials), "{dials} in four seconds or less");
    let waiting = tokio::spawn({
        let db = db.clone();
        async move { db.reachable().await }
    });
    proxy.be(Mood::Open);
    waiting.await.unwrap().unwrap();
}

fn in_two_seconds() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_host_does_not_stand_in_the_way_of_the_next() {
    let Some(url) = empty_postgres().await else { return };
    let (first, second) = (Proxy::before(&url).await, Proxy::before(&url).await);
    let both = first.url.replacen(&first.host, &format!("{},{}", first.host, second.host), 1);
    let options = Options { threads: 1, ..Options::new(both) };
    first.be(Mood::Silent);
    let db = Db::open(options, migrations()).await.unwrap();
    insert(&db).await.unwrap();
}

fn in_a_second() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_falls_silent_is_left_for_the_next_by_jobs_with_less_time_than_a_host_has() {
    let Some(url) = empty_postgres().await else { return };
    let (first, second) = (Proxy::before(&url).await, Proxy::before(&url).await);
    let both = first.url.replacen(&first.host, &format!("{},{}", first.host, second.host), 1);
    let db = Db::open(Options { threads: 1, deadline: in_a_second, ..Options::new(both) }, migrations()).await.unwrap();
    db.reachable().await.unwrap();
    first.be(Mood::Silent);
    // The first finds out, on the session that there was.
    assert!(insert(&db).await.is_err());
    insert(&db).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_writes_no_more_is_looked_for_again() {
    let Some(World { db, .. }) = World::postgres(|options| options.threads = 1).await else { return };
    // As of a primary that was demoted: a new session may be one that writes.
    let demoted = db.write("demote", |c| {
        let Conn::Postgres(c) = c else { panic!("not PostgreSQL") };
        Ok::<_, Error>(c.batch_execute("SET default_transaction_read_only = on")?)
    });
    demoted.await.unwrap();
    insert(&db).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_none_to_begin_with() {
    let Some(url) = empty_postgres().await else { return };
    let name = url.rsplit_once('/').unwrap().1;
    run_on_postgres(url.clone(), format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let options = Options { wait: Some(Duration::ZERO), ..Options::new(&url) };
    let refused = Db::open(options, migrations()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::Unreachable(cause) if cause.contains("does not allow writes")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_has_an_end_if_it_is_given_one() {
    let options = Options { wait: Some(Duration::ZERO), ..Options::new("postgres://u:secret@127.0.0.1:1/x") };
    let refused = Db::open(options, migrations()).await.err().unwrap();
    assert!(matches!(refused, OpenError::Unreachable(_)), "{refused}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[tokio::test]
async fn what_would_not_pass_is_refused_at_once() {
    let Some(url) = empty_postgres().await else { return };
    let (server, name) = url.rsplit_once('/').unwrap();
    let refused = Db::open(Options::new(format!("{server}/no_such_database")), migrations()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::Connect(cause) if cause.contains("no_such_database")), "{refused}");
    let host = server.rsplit_once('@').map_or_else(|| server.trim_start_matches("postgres://"), |(_, host)| host);
    let stranger = format!("postgres://no_such_user@{host}/{name}");
    let refused = Db::open(Options::new(stranger), migrations()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::Connect(cause) if cause.contains("no_such_user")), "{refused}");
}

//! What a tally's row does between two transactions of PostgreSQL; on SQLite there is one writer, and nothing to show.

use std::{sync::mpsc, time::Duration};

use diesel::connection::SimpleConnection as _;
use tokio::time::timeout;

use super::*;
use crate::{error::Error, store::fixture::postgres};

const SUBJECT: Subject = [7; 32];
/// Has whoever inserts wait, once that is done, for as long as somebody holds the gate.
const GATE: &str = "
    CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
    CREATE TRIGGER gate AFTER INSERT ON tallies FOR EACH STATEMENT EXECUTE FUNCTION pass()";

fn run(c: &mut Conn, sql: &str) -> Result<(), Error> {
    if let Conn::Postgres(c) = c {
        c.batch_execute(sql)?;
    }
    Ok(())
}

/// The one statement of [`lock`]: made of two, the second found nothing if the row went between them, and a sign-in ended as INTERNAL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tally_that_goes_while_it_is_locked_begins_anew() {
    let Some(db) = postgres().await else { return };
    db.write("count", |c| Ok::<_, Error>(lock(c, &SUBJECT)?)).await.expect("counted");
    db.write("gate", |c| run(c, GATE)).await.expect("a gate");

    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let one = db.clone();
    let shut = tokio::spawn(async move {
        let shut = move |c: &mut Conn| {
            run(c, "SELECT pg_advisory_xact_lock(1)")?;
            let _ = arrived.send(());
            let _ = may_go.recv();
            Ok::<_, Error>(())
        };
        one.write("shut", shut).await
    });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    let other = db.clone();
    let mut locking = tokio::spawn(async move { other.write("lock", |c| Ok::<_, Error>(lock(c, &SUBJECT)?)).await });
    assert!(timeout(Duration::from_millis(300), &mut locking).await.is_err(), "it stands at the gate");
    let mut removing = tokio::spawn(async move { db.write("right", |c| Ok::<_, Error>(remove(c, &SUBJECT)?)).await });
    assert!(timeout(Duration::from_millis(300), &mut removing).await.is_err(), "the row is held");
    drop(go);
    shut.await.expect("no panic").expect("committed");
    assert_eq!(locking.await.expect("no panic").expect("there is a row").tries, 0);
    assert_eq!(removing.await.expect("no panic").expect("removed"), 1);
}

//! The order of locks between two transactions of PostgreSQL; on SQLite there is one writer, and nothing to show.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, UNIX_EPOCH},
};

use tokio::time::timeout;

use super::*;
use crate::store::fixture::postgres;

fn kept(c: &mut Conn, subject: &Subject) -> Result<(), Error> {
    let tally = store::tallies::lock(c, subject)?;
    store::tallies::keep(c, subject, &tally, UNIX_EPOCH)?;
    Ok(())
}

/// The sorting of [`Change::make`]: a network's tally that sorts before an account's was locked after it, against the order of whoever counts a try, and the server
/// had to end one of the two after a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_count_back_never_waits_in_a_circle() {
    let Some(db) = postgres().await else { return };
    let (network, account): (Subject, Subject) = ([1; 32], [2; 32]);
    let windows = vec![(Rule::Window(60, MINUTE), network)];
    let ticket = Ticket { account: Some(account), windows, familiar: None };
    db.write("count", move |c| kept(c, &network).and_then(|()| kept(c, &account))).await.expect("counted");

    let runs = Arc::new(AtomicU32::new(0));
    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let (one, of_one) = (db.clone(), Arc::clone(&runs));
    let counting = tokio::spawn(async move {
        one.write("count_try", move |c| {
            of_one.fetch_add(1, Ordering::Relaxed);
            kept(c, &network)?;
            let _ = arrived.send(());
            let _ = may_go.recv();
            kept(c, &account)
        })
        .await
    });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    let of_other = Arc::clone(&runs);
    let mut right = tokio::spawn(async move {
        db.write("sign_in", move |c| {
            of_other.fetch_add(1, Ordering::Relaxed);
            ticket.right(c, UNIX_EPOCH)
        })
        .await
    });
    assert!(timeout(Duration::from_millis(300), &mut right).await.is_err(), "it waits for the first");
    drop(go);
    counting.await.expect("no panic").expect("counted");
    right.await.expect("no panic").expect("in");
    assert_eq!(runs.load(Ordering::Relaxed), 2, "a deadlock had one of them run again");
}

//! Endpoints that are not there, mute, slow or frozen, among others that are well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{net::TcpListener, time::sleep};
use tonic::Code;

use super::{DEADLINE, Outcome, addresses, bare, connect, load, millis, only, ours, replicas};
use crate::{
    server::Limits,
    testing::{
        Echo, Keys,
        sockets::{Proxy, serve},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_loses_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let all = [addresses(&replicas), vec![dead]].concat();
    load(ours(&connect(&keys, all.clone()), "Once"), 50).await.expect("no panic").is_whole();
    load(bare(&all, DEADLINE), 50).await.expect("no panic").lost_some();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_connections_and_no_more_loses_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    // The operating system takes the connections; nobody ever reads from them.
    let hole = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let all = [addresses(&replicas), vec![hole.local_addr().expect("an address")]].concat();
    load(ours(&connect(&keys, all.clone()), "Once"), 50).await.expect("no panic").is_whole();
    // Nor is a time that is over a call that somebody has given up.
    let beside = load(bare(&all, millis(100)), 5).await.expect("no panic");
    assert_eq!(beside.lost_some(), only(Code::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_has_few_calls_and_plain_tonic_gives_it_its_share() {
    let keys = Keys::new();
    let mut all = replicas(2, millis(5), &keys, Limits::default()).await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let slow = Echo::unary(move |request| {
        count.fetch_add(1, SeqCst);
        async move {
            sleep(millis(300)).await;
            Ok(request.into_inner())
        }
    });
    all.push(serve(slow, &keys, Limits::default()).await);
    // In per cent.
    let share = |outcome: Outcome| {
        outcome.is_whole();
        asked.swap(0, SeqCst) as usize * 100 / outcome.calls
    };
    let channel = connect(&keys, addresses(&all));
    let few = share(load(ours(&channel, "Once"), 100).await.expect("no panic"));
    assert!(few < 20, "{few} % went to the slow one; a third would be chance");
    let chance = share(load(bare(&addresses(&all), DEADLINE), 25).await.expect("no panic"));
    assert!(chance > 20, "{chance} % went to the slow one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_answers_nothing_any_more_loses_no_call_that_may_be_repeated_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(3, millis(5), &keys, Limits::default()).await;
    let proxy = Proxy::to(replicas[0].address).await;
    let all = vec![proxy.address, replicas[1].address, replicas[2].address];
    let (channel, beside) = (connect(&keys, all.clone()), bare(&all, millis(200)));
    load(ours(&channel, "Public"), 10).await.expect("no panic").is_whole();
    load(beside.clone(), 10).await.expect("no panic").is_whole();
    let under_load = load(ours(&channel, "Public"), 100);
    sleep(millis(100)).await;
    proxy.freeze();
    under_load.await.expect("no panic").is_whole();
    // What must not be repeated waits for its deadline, and no longer.
    let outcome = load(ours(&channel, "Once"), 5).await.expect("no panic");
    outcome.is_in_time();
    assert!(outcome.lost.iter().all(|status| status.code() == Code::DeadlineExceeded), "{:?}", outcome.lost);
    assert_eq!(load(beside, 5).await.expect("no panic").lost_some(), only(Code::Cancelled));
}

//! Connections and processes that end, in good order or not.

use std::time::Duration;

use tokio::time::sleep;
use tonic::Code;

use super::{DEADLINE, addresses, bare, connect, load, millis, only, ours, replicas, taking};
use crate::{
    server::Limits,
    testing::{Keys, say, sockets::serve_at},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(3, millis(5), &keys, Limits::default()).await;
    let all = addresses(&replicas);
    let channel = connect(&keys, all.clone());
    // A restart in good order loses not even what must not be repeated.
    for method in ["Public", "Once"] {
        say(&channel, method, "").await.expect("answered");
    }
    let (under_load, beside) = (load(ours(&channel, "Once"), 150), load(bare(&all, DEADLINE), 150));
    let mut restarted = Vec::new();
    for replica in replicas {
        let address = replica.address.to_string();
        replica.stop().await;
        sleep(millis(50)).await;
        restarted.push(serve_at(&address, taking(millis(5)), &keys, Limits::default()).await);
        sleep(millis(150)).await;
    }
    under_load.await.expect("no panic").is_whole();
    beside.await.expect("no panic").lost_some();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goodbyes_at_every_age_lose_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let limits = Limits { age: millis(40), ..Limits::default() };
    let replicas = replicas(3, millis(3), &keys, limits).await;
    let all = addresses(&replicas);
    load(ours(&connect(&keys, all.clone()), "Once"), 200).await.expect("no panic").is_whole();
    load(bare(&all, DEADLINE), 200).await.expect("no panic").lost_some();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_killed_in_the_middle_of_calls_loses_none_that_may_be_repeated() {
    let keys = Keys::new();
    let mut replicas = replicas(3, millis(20), &keys, Limits::default()).await;
    let channel = connect(&keys, addresses(&replicas));
    say(&channel, "Public", "").await.expect("answered");
    let under_load = load(ours(&channel, "Public"), 50);
    for _ in 0..2 {
        sleep(millis(200)).await;
        replicas.remove(0).kill().await;
    }
    under_load.await.expect("no panic").is_whole();
}

/// The only endpoint is killed, so that nobody can save the call: it has a code that says so, and the caller may know that the callee is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_dies_with_its_callee_is_unavailable_and_with_plain_tonic_unknown() {
    let keys = Keys::new();
    let replica = replicas(1, Duration::from_secs(1), &keys, Limits::default()).await.remove(0);
    let channel = connect(&keys, vec![replica.address]);
    let (lost, beside) = (load(ours(&channel, "Once"), 1), load(bare(&[replica.address], DEADLINE), 1));
    sleep(millis(300)).await;
    replica.kill().await;
    assert_eq!(lost.await.expect("no panic").lost_some(), only(Code::Unavailable));
    assert_eq!(beside.await.expect("no panic").lost_some(), only(Code::Unknown));
}

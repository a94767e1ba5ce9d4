//! The pool on paused time and a network in memory.

mod ejection;
mod finding;
mod page;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, advance, sleep};
use tonic::{Code, Status};

use crate::{
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::Random,
    server::{Limits, Stack},
    testing::{Echo, Host, Hosts, Keys, contracts, say},
    token::Kind,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn options(hosts: &Hosts) -> ChannelOptions {
    ChannelOptions {
        network: hosts.network(),
        random: Random::seeded(1),
        contracts: contracts(),
        ..ChannelOptions::default()
    }
}

fn channel(options: ChannelOptions) -> Channel {
    let keys = Keys::new();
    let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock, Random::seeded(1));
    Channel::connect("echo", "http://echo:80", identity, options)
}

/// A host that answers after `time`, with `failure` if there is one, and how often it was asked.
fn host(time: Duration, failure: Option<Code>) -> (Host, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let echo = Echo::unary(move |request| {
        count.fetch_add(1, SeqCst);
        async move {
            sleep(time).await;
            failure.map_or(Ok(request.into_inner()), |code| Err(Status::new(code, "no")))
        }
    });
    (Host::Up(echo.router(Keys::new().stack())), asked)
}

fn up() -> Host {
    host(millis(1), None).0
}

/// `callers` at once, each with `calls` one after the other; what failed.
async fn load(channel: &Channel, method: &'static str, callers: usize, calls: usize) -> Vec<Status> {
    let start = |_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let mut lost = Vec::new();
            for _ in 0..calls {
                lost.extend(say(&channel, method, "hello").await.err());
            }
            lost
        })
    };
    let callers: Vec<_> = (0..callers).map(start).collect();
    let mut lost = Vec::new();
    for caller in callers {
        lost.extend(caller.await.expect("no panic"));
    }
    lost
}

#[tokio::test(start_paused = true)]
async fn calls_go_where_there_are_fewer() {
    let (fast, slow) = (host(millis(10), None), host(millis(200), None));
    let other = host(millis(10), None);
    let hosts = Hosts::of([fast.0, other.0, slow.0]);
    assert_eq!(load(&channel(options(&hosts)), "Once", 16, 100).await.len(), 0);
    let [fast, other, slow] = [fast.1, other.1, slow.1].map(|asked| asked.load(SeqCst));
    assert_eq!(fast + other + slow, 1600);
    assert!(slow < 160 && fast.abs_diff(other) < 400, "{fast} {other} {slow}");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_goes_to_an_endpoint_that_was_not_tried() {
    let down = [(); 3].map(|()| host(millis(1), Some(Code::Unavailable)));
    let hosts = Hosts::of(down.iter().map(|(host, _)| host.clone()));
    let channel = channel(options(&hosts));
    // Wait until all three are READY.
    say(&channel, "Once", "").await.expect_err("down");
    sleep(millis(10)).await;
    let before = down.each_ref().map(|(_, asked)| asked.load(SeqCst));
    say(&channel, "Public", "").await.expect_err("down");
    let after = down.each_ref().map(|(_, asked)| asked.load(SeqCst));
    assert_eq!([0, 1, 2].map(|at| after[at] - before[at]), [1; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_costs_no_repeatable_call() {
    let hosts = Hosts::of([host(millis(50), None).0, host(millis(50), None).0, host(millis(50), None).0]);
    let channel = channel(options(&hosts));
    let under_load = tokio::spawn({
        let channel = channel.clone();
        async move { load(&channel, "Public", 16, 40).await }
    });
    for n in [0, 1, 2] {
        advance(millis(325)).await;
        hosts.set(n, Host::Down);
        sleep(millis(200)).await;
        hosts.set(n, host(millis(50), None).0);
    }
    let lost = under_load.await.expect("no panic");
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_under_a_thousand_calls_costs_no_repeatable_one() {
    let hosts = Hosts::of([(); 3].map(|()| host(millis(50), None).0));
    let channel = channel(options(&hosts));
    load(&channel, "Once", 6, 2).await;
    let under_load = tokio::spawn({
        let channel = channel.clone();
        async move { load(&channel, "Public", 1000, 1).await }
    });
    sleep(millis(25)).await;
    hosts.set(1, Host::Down);
    let lost = under_load.await.expect("no panic");
    assert!(lost.is_empty(), "{} lost: {:?}", lost.len(), lost.first());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_falls_silent_costs_no_repeatable_call() {
    let hosts = Hosts::of([up(), up(), up()]);
    let channel = channel(options(&hosts));
    load(&channel, "Once", 6, 10).await;
    hosts.set(1, Host::Gone);
    let began = Instant::now();
    let lost = load(&channel, "Public", 16, 100).await;
    assert!(lost.is_empty(), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "ejected, not asked again and again: {:?}", began.elapsed());
    // With no call on it, nobody asks whether it is there; its PING is missed once there is one.
    assert_eq!(hosts.dialled(1), 1);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_are_slow_alike_cost_no_call_and_are_not_ejected() {
    // Of 2 s.
    let hosts = Hosts::of([(); 3].map(|()| host(millis(1200), None).0));
    let channel = channel(options(&hosts));
    let lost = load(&channel, "Public", 16, 20).await;
    assert!(lost.is_empty(), "{} lost: {:?}", lost.len(), lost.first());
    let endpoints = channel.0.seen().pool.expect("a pool").endpoints;
    assert!(endpoints.contains(&("ready", 3)), "{endpoints:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_turns_calls_away_does_not_draw_them_all() {
    let limited = |calls: u32, time: u64| {
        let echo = Echo::unary(move |request| async move {
            sleep(millis(time)).await;
            Ok(request.into_inner())
        });
        let limits = Limits { calls, ..Limits::default() };
        Host::Up(echo.router(Stack { limits, ..Keys::new().stack() }))
    };
    let hosts = Hosts::of([limited(64, 100), limited(1024, 10), limited(1024, 10)]);
    let channel = channel(options(&hosts));
    load(&channel, "Once", 6, 2).await;
    let lost = load(&channel, "Once", 300, 50).await;
    assert!(lost.len() < 15_000 / 50, "{} of 15000 lost: {:?}", lost.len(), lost.first());
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_answers_no_ping_is_left() {
    let hosts = Hosts::of([host(Duration::from_secs(60), None).0]);
    let channel = channel(ChannelOptions { keepalive: (millis(500), millis(200)), ..options(&hosts) });
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { say(&channel, "Once", "").await }
    });
    sleep(millis(100)).await;
    hosts.set(0, Host::Gone);
    let began = Instant::now();
    assert_eq!(call.await.expect("no panic").expect_err("lost").code(), Code::Unavailable);
    assert!(began.elapsed() < millis(900), "{:?}", began.elapsed());
    hosts.set(0, up());
    sleep(Duration::from_secs(5)).await;
    say(&channel, "Once", "").await.expect("found again");
}

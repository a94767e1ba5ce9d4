//! How endpoints are found and connected to, and what becomes of calls meanwhile.

use std::io;

use tokio::io::duplex;

use super::*;
use crate::{
    admin::Admin,
    channel::Network,
    deadline::{self, Deadline},
    metrics::ClientMetrics,
    shutdown::Shutdown,
    testing::{address, answer},
};

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_there_costs_no_call_and_no_time() {
    for missing in [Host::Down, Host::Gone, Host::Mute] {
        let channel = channel(options(&Hosts::of([missing, up(), up()])));
        // Not repeatable: nothing but the choice saves them.
        let began = Instant::now();
        assert_eq!(load(&channel, "Once", 6, 100).await.len(), 0);
        assert!(began.elapsed() < millis(400), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_calls_fail_at_once_or_wait_as_they_are_told() {
    let hosts = Hosts::of([Host::Down]);
    let fast = channel(options(&hosts));
    let began = Instant::now();
    assert_eq!(say(&fast, "Once", "").await.expect_err("down").code(), Code::Unavailable);
    assert!(began.elapsed() < millis(250), "{:?}", began.elapsed());

    let waiting = channel(ChannelOptions { wait_for_ready: true, ..options(&hosts) });
    let began = Instant::now();
    assert_eq!(say(&waiting, "Once", "").await.expect_err("down").code(), Code::DeadlineExceeded);
    assert_eq!(began.elapsed(), Duration::from_secs(2), "the method's");
    let call = tokio::spawn(async move { say(&waiting, "Once", "hello").await });
    sleep(millis(500)).await;
    hosts.set(0, up());
    assert_eq!(call.await.expect("no panic").expect("waited for"), "hello");
}

/// Who was never asked has nothing to be spared, and is told of no attempt.
#[tokio::test(start_paused = true)]
async fn what_had_no_connection_takes_no_token_and_is_no_attempt_to_the_callee() {
    let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
    admin.add_client("sso", metrics.clone());
    let hosts = Hosts::of([Host::Down]);
    let first = channel(ChannelOptions { metrics, ..options(&hosts) });
    for method in ["Once", "Public"] {
        assert_eq!(load(&first, method, 1, 300).await.len(), 300);
    }
    let page = admin.metrics().await;
    assert!(page.contains("plaza_channel_retry_tokens{service=\"sso\",grpc_target=\"echo\"} 1000\n"), "{page}");
    drop(first);

    let telling = Echo::unary(|request| async move {
        let previous = request.metadata().get("grpc-previous-rpc-attempts");
        Ok(previous.map(|value| value.to_str().expect("a number").to_owned()).unwrap_or_default())
    });
    let (second, dialled) = (channel(options(&hosts)), hosts.dialled(0));
    let call = tokio::spawn(async move { say(&second, "Once", "").await });
    sleep(millis(10)).await;
    assert_eq!(hosts.dialled(0), dialled + 1, "refused");
    hosts.set(0, Host::Up(telling.router(Keys::new().stack())));
    assert_eq!(call.await.expect("no panic").expect("answered later"), "");
}

/// A second is what the connection takes.
#[tokio::test(start_paused = true)]
async fn what_a_call_has_waited_its_callee_does_not_have() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let telling = Echo::unary(move |_| {
        count.fetch_add(1, SeqCst);
        async { Ok(deadline::current().expect("a deadline").left().as_millis().to_string()) }
    });
    let router = telling.router(Keys::new().stack());
    let slow = || {
        let router = router.clone();
        let dial = move |_| {
            let router = router.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                let (near, far) = duplex(64 * 1024);
                tokio::spawn(answer(far, router));
                io::Result::Ok(near)
            }
        };
        let network = Network::of(|_, _| std::future::ready(Ok(vec![address(0)])), dial);
        let hosts = Hosts::default();
        channel(ChannelOptions { network, connect_timeout: Duration::from_secs(3), ..options(&hosts) })
    };
    let left: u64 = say(&slow(), "Once", "").await.expect("answered").parse().expect("a number");
    assert!((900..=1000).contains(&left), "of 2 s: {left}");
    // And what nobody could answer in time is not sent.
    let call = |micros| async move {
        let channel = slow();
        deadline::within(Deadline::after(Duration::from_micros(micros)), say(&channel, "Once", "")).await
    };
    call(1_010_000).await.expect("enough");
    assert_eq!(call(1_000_500).await.expect_err("too little").code(), Code::DeadlineExceeded);
    assert_eq!(asked.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_without_addresses_is_unavailable_until_it_has_one() {
    let hosts = Hosts::of([up()]);
    hosts.name(&[]);
    let channel = channel(options(&hosts));
    let status = say(&channel, "Once", "").await.expect_err("no address");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "echo was not found: no address"));
    hosts.name(&[0]);
    sleep(Duration::from_secs(2)).await;
    say(&channel, "Once", "").await.expect("found");
    hosts.name(&[]);
    sleep(Duration::from_secs(120)).await;
    say(&channel, "Once", "").await.expect("a resolver in trouble takes nothing away");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_wait() {
    let channel = channel(options(&Hosts::of([Host::Gone])));
    let began = Instant::now();
    let lost = load(&channel, "Once", 1031, 1).await;
    let refused = |status: &&Status| status.message().contains("too many calls wait");
    assert_eq!((lost.len(), lost.iter().filter(refused).count()), (1031, 7));
    assert!(began.elapsed() <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn connections_are_tried_ever_more_slowly_to_a_bound() {
    let hosts = Hosts::of([Host::Down]);
    let channel = channel(options(&hosts));
    say(&channel, "Once", "").await.expect_err("down");
    sleep(Duration::from_secs(10)).await;
    // 50 ms × 1.6ⁿ: 3 s are reached at the tenth; the nine before take 5.6 s.
    assert!((9..=14).contains(&hosts.dialled(0)), "{}", hosts.dialled(0));
    let before = hosts.dialled(0);
    sleep(Duration::from_secs(300)).await;
    assert!((90..=112).contains(&(hosts.dialled(0) - before)), "one in 3 s: {}", hosts.dialled(0) - before);
    drop(channel);
    sleep(millis(1)).await;
    let before = (hosts.dialled(0), hosts.resolved());
    sleep(Duration::from_secs(300)).await;
    assert_eq!((hosts.dialled(0), hosts.resolved()), before, "nothing outlives the channel");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_hangs_up_is_not_dialled_in_a_loop() {
    let hosts = Hosts::of([up()]);
    let _channel = channel(options(&hosts));
    say(&_channel, "Once", "").await.expect("answered");
    for _ in 0..1000 {
        hosts.set(0, up());
        sleep(millis(10)).await;
    }
    // Each of 1,000 connections was cut after 10 ms without a call.
    assert!(hosts.dialled(0) < 30, "{}", hosts.dialled(0));
}

#[tokio::test(start_paused = true)]
async fn names_are_resolved_again_in_time_and_on_failure_though_not_in_a_flood() {
    let (old, new) = (host(millis(1), None), host(millis(1), None));
    let hosts = Hosts::of([old.0, new.0]);
    hosts.name(&[0]);
    let channel = channel(options(&hosts));
    say(&channel, "Once", "").await.expect("the old one");
    hosts.name(&[1]);
    sleep(Duration::from_secs(37)).await;
    assert_eq!(hosts.resolved(), 2);
    say(&channel, "Once", "").await.expect("the new one");
    assert_eq!((old.1.load(SeqCst), new.1.load(SeqCst)), (1, 1));

    hosts.name(&[0]);
    hosts.set(1, Host::Down);
    sleep(millis(1500)).await;
    assert!((3..=4).contains(&hosts.resolved()), "at once, and no more than once a second: {}", hosts.resolved());
    say(&channel, "Once", "").await.expect("the old one again");
    hosts.set(0, Host::Down);
    let before = hosts.resolved();
    load(&channel, "Once", 50, 20).await;
    sleep(Duration::from_secs(20)).await;
    assert!(hosts.resolved() - before <= 21, "{}", hosts.resolved() - before);
}

#[tokio::test(start_paused = true)]
async fn of_more_addresses_than_it_takes_a_channel_takes_the_same_each_time() {
    let taken = async |seed| {
        let hosts = Hosts::of([(); 100].map(|()| Host::Down));
        let channel = channel(ChannelOptions { random: Random::seeded(seed), ..options(&hosts) });
        let dialled = || (0..100).filter(|n| hosts.dialled(*n) > 0).collect::<Vec<_>>();
        say(&channel, "Once", "").await.expect_err("all are down");
        let taken = dialled();
        hosts.name(&(0..100).rev().collect::<Vec<_>>());
        sleep(Duration::from_secs(40)).await;
        assert_eq!(dialled(), taken, "in whatever order they come");
        hosts.name(&(0..100).filter(|n| *n != taken[0]).collect::<Vec<_>>());
        sleep(Duration::from_secs(40)).await;
        assert_eq!(dialled().len(), 65, "one for the one that went");
        taken
    };
    let (here, there) = (taken(1).await, taken(2).await);
    assert_eq!((here.len(), there.len()), (64, 64));
    assert_ne!(here, there, "other processes take others");
}

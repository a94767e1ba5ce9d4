//! The pool on paused time and a network in memory.

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
    admin::Admin,
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::Random,
    metrics::ClientMetrics,
    shutdown::Shutdown,
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
    let channel = channel(ChannelOptions { queue: 3, ..options(&Hosts::of([Host::Gone])) });
    let began = Instant::now();
    let lost = load(&channel, "Once", 10, 1).await;
    let refused = |status: &&Status| status.message().contains("too many calls wait");
    assert_eq!((lost.len(), lost.iter().filter(refused).count()), (10, 7));
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
async fn an_endpoint_that_fails_is_left_for_a_while() {
    let (bad, good) = (host(millis(1), Some(Code::Internal)), host(millis(1), None));
    let hosts = Hosts::of([bad.0, good.0, up()]);
    let channel = channel(options(&hosts));
    let lost = load(&channel, "Once", 1, 300).await;
    assert_eq!((lost.len(), bad.1.load(SeqCst)), (5, 5), "five in a row");
    sleep(Duration::from_secs(25)).await;
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0, "still out");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(load(&channel, "Once", 1, 300).await.len(), 5, "given another chance");
    sleep(Duration::from_secs(45)).await;
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0, "and out for twice as long");
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_is_never_ejected() {
    let (bad, worse) = (host(millis(1), Some(Code::Internal)), host(millis(1), Some(Code::Internal)));
    let hosts = Hosts::of([bad.0, worse.0, Host::Down]);
    let channel = channel(options(&hosts));
    let lost = load(&channel, "Once", 1, 300).await;
    assert!(lost.iter().all(|status| status.code() == Code::Internal), "asked, and answered");
    let [bad, worse] = [bad.1, worse.1].map(|asked| asked.load(SeqCst));
    assert_eq!((bad + worse, bad.min(worse) < 10), (300, true), "{bad} {worse}");
}

#[tokio::test(start_paused = true)]
async fn half_the_calls_failing_ejects_though_never_five_in_a_row() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let shaky = Echo::unary(move |_| {
        let good = count.fetch_add(1, SeqCst).is_multiple_of(3);
        let answer = if good { Ok("fine".to_owned()) } else { Err(Status::internal("no")) };
        async move { answer }
    });
    let hosts = Hosts::of([Host::Up(shaky.router(Keys::new().stack())), up()]);
    let channel = channel(options(&hosts));
    load(&channel, "Once", 1, 300).await;
    sleep(Duration::from_secs(10)).await;
    let before = asked.load(SeqCst);
    assert!(before > 50, "never five in a row: {before}");
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0);
    assert_eq!(asked.load(SeqCst), before, "judged, and out");
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

#[tokio::test(start_paused = true)]
async fn the_page_tells_how_the_endpoints_are() {
    let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
    admin.add_client("sso", metrics.clone());
    let hosts = Hosts::of([host(millis(1), Some(Code::Internal)).0, up(), Host::Down]);
    let channel = channel(ChannelOptions { metrics, ..options(&hosts) });
    assert_eq!(load(&channel, "Once", 1, 300).await.len(), 5, "one is ejected");
    hosts.set(1, Host::Down);
    sleep(millis(1)).await;
    let page = admin.metrics().await;
    let labels = "service=\"sso\",grpc_target=\"echo\"";
    for line in [
        format!("plaza_channel_endpoints{{{labels},state=\"ejected\"}} 1\n"),
        format!("plaza_channel_endpoints{{{labels},state=\"ready\"}} 0\n"),
        format!("plaza_channel_picks_waiting{{{labels}}} 0\n"),
        format!("plaza_channel_picks_waited_total{{{labels}}} 1\n"),
        format!("plaza_channel_retry_tokens{{{labels}}} 100\n"),
        format!("grpc_lb_outlier_detection_ejections_enforced_total{{{labels}}} 1\n"),
        format!("grpc_subchannel_connection_attempts_succeeded_total{{{labels}}} 2\n"),
        format!("grpc_subchannel_disconnections_total{{{labels}}} 1\n"),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(!page.contains("connection_attempts_failed_total{service=\"sso\",grpc_target=\"echo\"} 0\n"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn of_two_channels_to_one_callee_the_page_tells_the_sum_and_the_smaller_budget() {
    let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
    admin.add_client("sso", metrics.clone());
    let hosts = Hosts::of([up(), up()]);
    let [first, second] = [(); 2].map(|()| channel(ChannelOptions { metrics: metrics.clone(), ..options(&hosts) }));
    let tells = async |ready: u32, made: u32, tokens: u32| {
        let page = admin.metrics().await;
        for (name, state, value) in [
            ("plaza_channel_endpoints", ",state=\"ready\"", ready),
            ("grpc_subchannel_connection_attempts_succeeded_total", "", made),
            ("plaza_channel_retry_tokens", "", tokens),
        ] {
            let labels = format!("{name}{{service=\"sso\",grpc_target=\"echo\"{state}}} ");
            let values: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(&labels)).collect();
            assert_eq!(values, [value.to_string()], "{name}");
        }
    };
    for channel in [&first, &second] {
        say(channel, "Once", "").await.expect("answered");
    }
    sleep(millis(1)).await;
    tells(4, 4, 100).await;
    for n in [0, 1] {
        hosts.set(n, host(millis(1), Some(Code::Unavailable)).0);
    }
    sleep(Duration::from_secs(5)).await;
    say(&first, "Public", "").await.expect_err("down, three times");
    tells(4, 8, 97).await;
    drop(first);
    tells(2, 4, 100).await;
}

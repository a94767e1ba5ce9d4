//! Ten times what a server can do, on paused time: what it can do, it does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tonic::{Code, Status, body::Body};

use crate::{
    channel::{Channel, ChannelOptions},
    clock::Random,
    deadline::{self, Deadline},
    testing::{Echo, Keys, say},
};

/// Calls a second, at 4 at a time and 10 ms each. The method allows 2 s, in which it can do 800; it takes on 1024.
const CAPACITY: u64 = 400;

fn scarce() -> Channel {
    let places = Arc::new(Semaphore::new(4));
    let echo = Echo::unary(move |request| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.expect("never closed");
            sleep(Duration::from_millis(10)).await;
            Ok(request.into_inner())
        }
    });
    let options = ChannelOptions { random: Random::seeded(1), ..ChannelOptions::default() };
    Channel::in_memory(echo.router(Keys::new().stack()), None, options)
}

/// Calls that are made whether those before them are answered or not: `rate` a second, for so many seconds, by callers who have `time` for each.
async fn offer(channel: &Channel, time: Duration, rate: u64, seconds: u64) -> JoinSet<Option<Code>> {
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for _ in 0..seconds * 200 {
        ticks.tick().await;
        for _ in 0..rate / 200 {
            let channel = channel.clone();
            // Not repeated: each is one that was offered.
            let call = async move { say(&channel, "Once", "").await.err().map(|status| status.code()) };
            calls.spawn(deadline::within(Deadline::after(time), call));
        }
    }
    calls
}

async fn answered(calls: JoinSet<Option<Code>>) -> usize {
    calls.join_all().await.into_iter().filter(Option::is_none).count()
}

#[tokio::test(start_paused = true)]
async fn ten_times_the_capacity_leaves_goodput_whole_and_is_over_soon() {
    const SECONDS: u64 = 20;
    // All that the method allows, and less than half of it.
    for time in [2000, 900].map(Duration::from_millis) {
        let channel = scarce();
        let began = Instant::now();
        let overload = offer(&channel, time, 10 * CAPACITY, SECONDS).await;
        // Of what it has taken on, up to a third of the method's 2 s is left to do.
        let settling = offer(&channel, time, CAPACITY / 2, 1).await;
        let after = offer(&channel, time, CAPACITY / 2, 2).await;
        drop(settling);
        let (overload, after) = (answered(overload).await, answered(after).await);
        let possible = (CAPACITY * SECONDS) as usize;
        assert!(overload * 10 >= possible * 9, "{overload} of {possible} within {time:?}");
        let offered = CAPACITY as usize;
        assert_eq!(after, offered, "a second after it was over");
        assert!(began.elapsed() < Duration::from_secs(SECONDS + 5), "nothing outlives its deadline");
    }
}

/// Whatever was late, what is in time again is taken on again.
#[tokio::test(start_paused = true)]
async fn what_was_cut_for_late_calls_grows_again() {
    let echo = Echo::unary(|request| async move {
        sleep(Duration::from_millis(request.get_ref().parse().expect("a number"))).await;
        Ok(request.into_inner())
    });
    let options = ChannelOptions { random: Random::seeded(1), ..ChannelOptions::default() };
    let channel = Channel::in_memory(echo.router(Keys::new().stack()), None, options);
    let refused = async |calls: usize, millis: &'static str| {
        let call = |_| {
            let channel = channel.clone();
            async move { say(&channel, "Once", millis).await.err().map(|status| status.code()) }
        };
        calls - answered((0..calls).map(call).collect()).await
    };
    assert_eq!(refused(1024, "10").await, 0);
    // Each takes over a third of the 2 s that the method allows.
    for _ in 0..4 {
        assert_eq!(refused(1, "1500").await, 0);
    }
    assert_eq!(refused(1024, "10").await, 1024 - 64);
    for _ in 0..60 {
        assert_eq!(refused(1, "100").await, 0);
    }
    assert_eq!(refused(1024, "10").await, 0, "after 6 s");
}

#[tokio::test(start_paused = true)]
async fn what_callers_are_slow_with_is_not_held_against_the_server() {
    const LONG: Duration = Duration::from_millis(1500);
    let echo = Echo::unary(|request| async {
        sleep(Duration::from_millis(10)).await;
        Ok(request.into_inner())
    });
    let router = echo.router(Keys::new().stack());
    let head = || http::Request::post("/test.v1.EchoService/Once");
    for _ in 0..5 {
        // A request that does not end, and is given up or late.
        let endless = || StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Status>>());
        let request = head().body(Body::new(endless())).expect("a request");
        let given_up = timeout(LONG, router.handle(request)).await;
        assert!(given_up.is_err(), "it does not end");
        let late = router.handle(head().body(Body::new(endless())).expect("a request")).await;
        assert_eq!(crate::wire::code(late.headers()), Some(Code::DeadlineExceeded));
        // An answer that is not read.
        let request = head().body(Body::new(Full::from(vec![0; 5]))).expect("a request");
        let answer = router.handle(request).await;
        sleep(LONG).await;
        drop(answer);
    }
    let channel = Channel::in_memory(router, None, ChannelOptions::default());
    let calls = (0..1024).map(|_| {
        let channel = channel.clone();
        async move { say(&channel, "Once", "").await.err().map(|status| status.code()) }
    });
    assert_eq!(answered(calls.collect()).await, 1024);
}

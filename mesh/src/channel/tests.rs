use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status, metadata::MetadataMap};

use super::*;
use crate::{
    failure,
    server::{Limits, Stack},
    testing::{Echo, Keys, call, say},
};

/// A service that fails with `failures` in turn and then answers; and how often it was called.
fn failing(failures: Vec<Status>) -> (Channel, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let echo = Echo::unary(move |request: Request<String>| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        let previous =
            request.metadata().get("grpc-previous-rpc-attempts").map(|value| value.to_str().expect("a number"));
        assert_eq!(previous.map(str::to_owned), (call > 0).then(|| call.to_string()));
        let failure = failures.get(call as usize).cloned();
        async move { failure.map_or(Ok(request.into_inner()), Err) }
    });
    (seeded(echo), calls)
}

fn seeded(echo: Echo) -> Channel {
    let options = ChannelOptions { random: Random::seeded(1), ..ChannelOptions::default() };
    // It takes more than a caller keeps.
    let limits = Limits { message_bytes: 4 * replay::MAX as u32, ..Limits::default() };
    Channel::in_memory(echo.router(Stack { limits, ..Keys::new().stack() }), None, options)
}

fn unavailable() -> Status {
    Status::unavailable("down")
}

fn pushed_back(value: &'static str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("grpc-retry-pushback-ms", value.parse().expect("ascii"));
    Status::with_metadata(Code::Unavailable, "down", metadata)
}

#[tokio::test(start_paused = true)]
async fn a_repeatable_call_is_tried_three_times() {
    let (channel, calls) = failing(vec![unavailable(); 2]);
    assert_eq!(say(&channel, "Public", "hello").await.expect("the third attempt"), "hello");
    assert_eq!(calls.load(Ordering::SeqCst), 3);

    let (channel, calls) = failing(vec![unavailable(); 9]);
    assert_eq!(say(&channel, "Public", "hello").await.expect_err("down").message(), "down");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_tried_again() {
    let (channel, calls) = failing(vec![unavailable(); 9]);
    assert_eq!(say(&channel, "Once", "x").await.expect_err("down").code(), Code::Unavailable);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "not marked repeatable");
    for code in [Code::Internal, Code::Aborted, Code::ResourceExhausted, Code::DeadlineExceeded, Code::Unknown] {
        let (channel, calls) = failing(vec![Status::new(code, "no"); 9]);
        assert_eq!(say(&channel, "Public", "x").await.expect_err("no").code(), code);
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_callee_says_when_to_come_back() {
    let (channel, calls) = failing(vec![pushed_back("300")]);
    let began = Instant::now();
    say(&channel, "Public", "x").await.expect("the second attempt");
    assert_eq!((calls.load(Ordering::SeqCst), began.elapsed()), (2, Duration::from_millis(300)));
    for never in ["-1", "soon"] {
        let (channel, calls) = failing(vec![pushed_back(never)]);
        assert_eq!(say(&channel, "Public", "x").await.expect_err("told not to").code(), Code::Unavailable);
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{never}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_returns_the_failure_at_once() {
    let (channel, calls) = failing(vec![pushed_back("5000")]);
    let began = Instant::now();
    let status = say(&channel, "Public", "x").await.expect_err("no time");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "down"));
    assert_eq!((calls.load(Ordering::SeqCst), began.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn pauses_are_jittered_and_bounded() {
    let (channel, _) = failing(vec![unavailable(); 2]);
    let began = Instant::now();
    say(&channel, "Public", "x").await.expect("the third attempt");
    let (shortest, longest) = (Duration::from_millis(120), Duration::from_millis(183));
    assert!((shortest..longest).contains(&began.elapsed()), "50 and 100 ms, ±20 %: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_is_left_alone() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let channel = seeded(Echo::unary(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err(unavailable()) }
    }));
    for _ in 0..200 {
        say(&channel, "Public", "x").await.expect_err("down");
    }
    // 166 calls of three attempts and one of two bring the bucket from 1000 to 500; 33 calls go out once.
    assert_eq!(calls.load(Ordering::SeqCst), 166 * 3 + 2 + 33);
}

#[tokio::test(start_paused = true)]
async fn a_request_too_long_to_keep_is_sent_once() {
    for (length, times) in [(replay::MAX / 2, 3), (replay::MAX, 1)] {
        let (channel, calls) = failing(vec![unavailable(); 9]);
        let status = say(&channel, "Public", &"x".repeat(length)).await.expect_err("down");
        assert_eq!((status.code(), calls.load(Ordering::SeqCst)), (Code::Unavailable, times), "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_smallest_deadline_holds() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let left = Arc::clone(&seen);
    let channel = seeded(Echo::unary(move |_| {
        left.lock().expect("unpoisoned").push(deadline::current().expect("a deadline").left());
        async { Ok(String::new()) }
    }));
    say(&channel, "Public", "").await.expect("the policy's");
    let mut asked = Request::new(String::new());
    asked.set_timeout(Duration::from_millis(700));
    call(&channel, "Public", asked).await.expect("what the caller asked for");
    let mut greedy = Request::new(String::new());
    greedy.set_timeout(Duration::from_secs(60));
    call(&channel, "Public", greedy).await.expect("the policy's");
    let inherited = Deadline::after(Duration::from_millis(300));
    deadline::within(inherited, async {
        say(&channel, "Public", "").await.expect("what is left");
        sleep(Duration::from_millis(100)).await;
        say(&channel, "Public", "").await.expect("less is left");
        sleep(Duration::from_millis(200)).await;
        let late = say(&channel, "Public", "").await.expect_err("nothing is left");
        assert_eq!(late.code(), Code::DeadlineExceeded);
    })
    .await;
    let millis: Vec<_> = seen.lock().expect("unpoisoned").iter().map(Duration::as_millis).collect();
    assert_eq!(millis, [2000, 700, 2000, 300, 200]);
}

#[tokio::test(start_paused = true)]
async fn what_no_callee_could_answer_in_time_is_not_sent() {
    let (channel, calls) = failing(Vec::new());
    let with = |micros| deadline::within(Deadline::after(Duration::from_micros(micros)), say(&channel, "Public", ""));
    assert_eq!(with(500).await.expect_err("refused").code(), Code::DeadlineExceeded);
    assert_eq!(calls.load(Ordering::SeqCst), 0, "never asked");
    with(1500).await.expect("enough");
}

#[tokio::test(start_paused = true)]
async fn a_call_within_a_call_has_what_is_left() {
    let inner =
        seeded(Echo::unary(|_| async { Ok(deadline::current().expect("a deadline").left().as_millis().to_string()) }));
    let outer = seeded(Echo::unary(move |_| {
        let inner = inner.clone();
        async move {
            sleep(Duration::from_millis(600)).await;
            say(&inner, "Public", "").await
        }
    }));
    assert_eq!(say(&outer, "Public", "").await.expect("answered"), "1400");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_deadline_exceeded() {
    let channel = seeded(Echo::unary(|_| async {
        sleep(Duration::from_secs(60)).await;
        Ok(String::new())
    }));
    for method in ["Public", "Once"] {
        let began = Instant::now();
        let status = say(&channel, method, "").await.expect_err("late");
        assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, Duration::from_secs(2)));
        assert_eq!(failure::reason(&status).as_deref(), Some("DEADLINE_EXCEEDED"));
    }
}

#[test]
fn a_channel_crosses_threads() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Channel>();
}

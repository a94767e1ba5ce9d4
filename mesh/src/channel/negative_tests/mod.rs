//! gRPC's negative HTTP/2 cases (grpc/grpc, doc/negative-http2-interop-test-descriptions.md) and others like them: a scripted callee treats
//! its first call badly, on paused time. What is asked for is the status, and that the next call is none the worse for it.

mod callee;

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use h2::Reason;
use http::HeaderValue;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::testing::say;
use callee::{Deed, callee};

#[tokio::test(start_paused = true)]
async fn what_a_callee_does_badly_has_a_status_and_costs_the_next_call_nothing() {
    for (deed, wanted, connections) in [
        (Deed::GoAway, None, 2),
        // Above the last stream, the call was not looked at, whatever else was wrong.
        (Deed::Goodbye(0, Reason::NO_ERROR), None, 2),
        (Deed::Goodbye(0, Reason::ENHANCE_YOUR_CALM), None, 2),
        (Deed::Goodbye(1, Reason::NO_ERROR), Some(Code::Unavailable), 2),
        (Deed::Goodbye(1, Reason::ENHANCE_YOUR_CALM), Some(Code::Unavailable), 2),
        (Deed::Ping, None, 1),
        // hyper takes this reset for an end (RFC 9113, 8.1), and an answer that ends without a status is UNKNOWN.
        (Deed::ResetAfterHeaders, Some(Code::Unknown), 1),
        (Deed::ResetInData, Some(Code::Internal), 1),
        (Deed::ResetAfterData, Some(Code::Unknown), 1),
        (Deed::NoTrailers, Some(Code::Unknown), 1),
        (Deed::Page(200), Some(Code::Unknown), 1),
        (Deed::Page(400), Some(Code::Internal), 1),
        (Deed::Page(401), Some(Code::Unauthenticated), 1),
        (Deed::Page(403), Some(Code::PermissionDenied), 1),
        (Deed::Page(404), Some(Code::Unimplemented), 1),
        (Deed::Page(500), Some(Code::Unknown), 1),
        (Deed::Page(503), Some(Code::Unavailable), 1),
        (Deed::Status("banana"), Some(Code::Unknown), 1),
        (Deed::Status("99"), Some(Code::Unknown), 1),
        (Deed::HugeHeaders, Some(Code::Internal), 1),
        // What is too much of them is left out, see below.
        (Deed::HugeTrailers, None, 1),
        (Deed::HugeMessage, Some(Code::OutOfRange), 1),
        (Deed::HalfMessage, Some(Code::Internal), 1),
        (Deed::Cut, Some(Code::Unavailable), 2),
        // It was never READY, so that the call waited for another.
        (Deed::OldHttp, None, 2),
    ] {
        let (channel, seen) = callee(deed);
        let began = Instant::now();
        // Not repeatable, so that this is the first attempt's.
        let first = say(&channel, "Once", "").await;
        assert_eq!(first.as_ref().err().map(tonic::Status::code), wanted, "{deed:?}: {first:?}");
        assert!(began.elapsed() < Duration::from_millis(500), "{deed:?}: {:?}", began.elapsed());
        sleep(Duration::from_secs(1)).await;
        assert_eq!(say(&channel, "Once", "").await.expect("the next call"), "hello", "{deed:?}");
        assert_eq!(seen.connections.load(SeqCst), connections, "{deed:?}");
        assert_eq!(seen.pongs.load(SeqCst), if deed == Deed::Ping { 4 } else { 0 });
    }
}

/// h2 has no error for trailers over the limit: it drops, as it reads them, what goes beyond it.
#[tokio::test(start_paused = true)]
async fn of_huge_trailers_no_more_is_kept_than_of_headers() {
    let (channel, _) = callee(Deed::HugeTrailers);
    let path = "/test.v1.EchoService/Once".parse().expect("a path");
    let call = async {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.unary(Request::new(String::new()), path, ProstCodec::<String, String>::default()).await
    };
    // tonic puts trailers among the headers.
    let headers = call.await.expect("answered").into_parts().0.into_headers();
    let (count, size) = (headers.len(), headers.values().map(HeaderValue::len).sum::<usize>());
    assert!(count > 10 && size < 16 * 1024, "{count} of {size} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_takes_one_call_at_a_time_gets_one_at_a_time() {
    let (channel, seen) = callee(Deed::OneStream);
    say(&channel, "Once", "").await.expect("the first");
    let call = |_| {
        let channel = channel.clone();
        async move { say(&channel, "Once", "").await }
    };
    let mut calls: JoinSet<_> = (0..10).map(call).collect();
    while let Some(ended) = calls.join_next().await {
        assert_eq!(ended.expect("no panic").expect("answered"), "hello");
    }
    assert_eq!((seen.calls.load(SeqCst), seen.most.load(SeqCst)), (11, 1));
}

/// What meets the end of a connection before any of it has left is handed back whole, however long, and of whatever kind.
#[tokio::test(start_paused = true)]
async fn a_call_that_has_not_left_is_sent_on_another_connection() {
    // A method that nobody knows may be of any kind.
    for (method, length) in [("Once", 0), ("Once", 100_000), ("Unknown", 0)] {
        let (channel, seen) = callee(Deed::GoAway);
        let first = tokio::spawn({
            let channel = channel.clone();
            async move { say(&channel, "Once", "").await }
        });
        // The goodbye has come, and not the answer; hyper looks for one only when it has something to send.
        sleep(Duration::from_millis(2)).await;
        let next = say(&channel, method, &"x".repeat(length)).await;
        assert_eq!(next.expect("the next call"), "hello", "{method} {length}");
        assert_eq!(first.await.expect("no panic").expect("answered"), "hello");
        assert_eq!((seen.connections.load(SeqCst), seen.calls.load(SeqCst)), (2, 2), "{method} {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_read_until_the_deadline_however_slowly() {
    let (channel, _) = callee(Deed::Endless);
    let began = Instant::now();
    let mut grpc = tonic::client::Grpc::new(channel);
    let (path, codec) = ("/test.v1.EchoService/Stream".parse().expect("a path"), ProstCodec::default());
    let request = Request::new(String::new());
    let answer = grpc.server_streaming::<_, String, _>(request, path, codec).await.expect("begun");
    let mut items = answer.into_inner();
    let status = loop {
        match items.message().await {
            Ok(_) => sleep(Duration::from_millis(300)).await,
            Err(status) => break status,
        }
        assert!(began.elapsed() < Duration::from_secs(3), "reads on");
    };
    assert_eq!((status.code(), began.elapsed().as_millis() / 300), (Code::DeadlineExceeded, 7));
}

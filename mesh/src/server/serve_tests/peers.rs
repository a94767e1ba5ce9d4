//! Peers that do not do their part, over HTTP/2 by hand, on paused time.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Method, StatusCode};
use tokio::{io::duplex, task::JoinSet};

use super::*;
use crate::server::{Router, Stack};

/// A peer with such a window for each answer, and its connection as the server has it.
async fn peer(router: &Router, window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
    let ((near, far), router) = (duplex(64 * 1024), router.clone());
    let served = tokio::spawn(async move { router.serve_stream(far, [127, 0, 0, 1].into()).await });
    let (sender, connection) = Builder::new().initial_window_size(window).handshake(near).await.expect("HTTP/2");
    tokio::spawn(connection);
    (sender, served)
}

fn request(method: &str, body: &'static [u8]) -> http::Request<Bytes> {
    of(&format!("test.v1.EchoService/{method}"), body)
}

/// A request of any service.
fn of(method: &str, body: &'static [u8]) -> http::Request<Bytes> {
    let request = http::Request::post(format!("http://echo/{method}")).header("content-type", "application/grpc");
    request.body(Bytes::from_static(body)).expect("a request")
}

/// The head of the answer, whose body comes if the window lets it.
async fn send(sender: &SendRequest<Bytes>, request: http::Request<Bytes>) -> http::Response<h2::RecvStream> {
    let (head, body) = request.into_parts();
    let mut sender = sender.clone().ready().await.expect("open");
    let (answer, mut sending) = sender.send_request(http::Request::from_parts(head, ()), false).expect("sent");
    sending.send_data(body, true).expect("sent");
    answer.await.expect("answered")
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_is_not_kept() {
    const CALLS: u32 = 64;
    let limits = Limits { calls: CALLS, ..Limits::default() };
    let router = slow(Duration::from_millis(200)).router(Stack { limits, ..Keys::new().stack() });
    let (sender, served) = peer(&router, 0).await;
    let calls = (0..CALLS).map(|_| {
        let sender = sender.clone();
        async move { send(&sender, request("Once", &[0; 5])).await }
    });
    let untaken = calls.collect::<JoinSet<_>>().join_all().await;
    assert!(untaken.iter().all(|answer| answer.headers().get("grpc-status").is_none()), "all are answered");
    let others = Channel::anonymous(router);
    assert_eq!(say(&others, "Once", "").await.expect_err("no place").code(), Code::ResourceExhausted);
    // The method allows 2 s.
    timeout(Duration::from_secs(20), served).await.expect("cut").expect("no panic");
    assert_eq!(say(&others, "Once", "").await.expect("there are places"), "done");
}

#[tokio::test(start_paused = true)]
async fn one_connection_does_not_have_all_places() {
    let limits = Limits { calls: 64, streams: 16, ..Limits::default() };
    let router = slow(Duration::from_millis(200)).router(Stack { limits, ..Keys::new().stack() });
    let (sender, _served) = peer(&router, 65_535).await;
    let greedy = (0..20).map(|_| {
        let sender = sender.clone();
        async move {
            let answer = send(&sender, request("Once", &[0; 5])).await;
            answer.headers().get("grpc-status").map(|status| status.to_str().expect("ASCII").to_owned())
        }
    });
    let refused = greedy.collect::<JoinSet<_>>().join_all().await;
    assert_eq!(refused.iter().filter(|status| status.as_deref() == Some("8")).count(), 4, "{refused:?}");
    assert_eq!(send(&sender, request("Once", &[0; 5])).await.headers().get("grpc-status"), None, "they are free again");
}

/// Anybody may watch; that is no way to fill the memory, nor to keep others from calling.
#[tokio::test(start_paused = true)]
async fn streams_of_health_have_so_many_places_and_no_call_s() {
    let limits = Limits { calls: 64, streams: 16, ..Limits::default() };
    let router = echoing().router(Stack { limits, ..Keys::new().stack() });
    let watch = async |sender: SendRequest<Bytes>| send(&sender, of("grpc.health.v1.Health/Watch", &[0; 5])).await;
    let is_refused = |answer: &http::Response<_>| answer.headers().get("grpc-status").is_some_and(|code| code == "8");
    let (mut peers, mut watched) = (Vec::new(), Vec::new());
    for places in [16, 16, 16, 16, 0] {
        peers.push(peer(&router, 65_535).await);
        let (sender, _) = &peers[peers.len() - 1];
        let before = watched.len();
        for _ in 0..20 {
            let answer = watch(sender.clone()).await;
            if !is_refused(&answer) {
                watched.push(answer);
            }
        }
        assert_eq!(watched.len() - before, places);
    }
    // A probe is answered even where there are as many streams as one connection may have.
    assert!(!is_refused(&send(&peers[0].0, of("grpc.health.v1.Health/Check", &[0; 5])).await));
    assert!(is_refused(&send(&peers[0].0, request("Once", &[0; 5])).await));
    assert!(!is_refused(&send(&peers[4].0, request("Once", &[0; 5])).await));
    drop(watched);
    sleep(Duration::from_millis(1)).await;
    assert!(!is_refused(&watch(peers[4].0.clone()).await), "they are free again");
}

/// Reflection reads what it is asked in a task of its own: it, and the stream, end with the answer, whether the peer is done or not.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_ends_its_questions_holds_nothing() {
    let router = echoing().router(Keys::new().stack());
    let (sender, served) = peer(&router, 65_535).await;
    let ask = async || {
        let (head, _) = of("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"").into_parts();
        let mut sender = sender.clone().ready().await.expect("open");
        let (answer, asking) = sender.send_request(http::Request::from_parts(head, ()), false).expect("sent");
        (answer.await.expect("answered"), asking)
    };
    let (_answer, mut asking) = ask().await;
    let mut let_go = async |within| timeout(within, poll_fn(|cx| asking.poll_reset(cx))).await;
    let_go(Duration::from_secs(59)).await.expect_err("it has its minute");
    let_go(Duration::from_secs(2)).await.expect("let go").expect("reset");
    // Nor does it hold up the end of the server.
    let (_answer, _asking) = ask().await;
    router.stopping().begin();
    timeout(Duration::from_secs(1), served).await.expect("at once").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_gone() {
    let router = echoing().router(Keys::new().stack());
    let (near, far) = duplex(64 * 1024);
    let served = tokio::spawn(async move { router.serve_stream(far, [127, 0, 0, 1].into()).await });
    // Its connection is never driven again: what comes is not even read.
    let (_sender, _silent) = h2::client::handshake(near).await.expect("HTTP/2");
    let mut served = std::pin::pin!(served);
    assert!(timeout(Duration::from_secs(79), served.as_mut()).await.is_err(), "it has its time");
    timeout(Duration::from_secs(5), served).await.expect("it is gone").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_grpc_is_refused_and_nothing_is_done_for_it() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let echo = Echo::unary(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(request.into_inner()) }
    });
    let (sender, _served) = peer(&echo.router(Keys::new().stack()), 65_535).await;
    let mut get = request("Public", &[0; 5]);
    *get.method_mut() = Method::GET;
    assert_eq!(send(&sender, get).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    // The first is what a page sends anywhere without asking.
    for kind in ["text/plain", "application/json", ""] {
        let mut foreign = request("Public", &[0; 5]);
        foreign.headers_mut().insert("content-type", kind.parse().expect("a value"));
        assert_eq!(send(&sender, foreign).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    for kind in ["application/grpc", "application/grpc+proto"] {
        let mut call = request("Public", &[0; 5]);
        call.headers_mut().insert("content-type", kind.parse().expect("a value"));
        assert_eq!(send(&sender, call).await.status(), StatusCode::OK, "{kind}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

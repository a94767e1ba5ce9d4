//! A browser's side, over HTTP/1.1 by hyper's own client.

mod endings;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tonic::Code;

use super::*;
use crate::{
    access::{caller, client_address},
    failure::Failure,
    server::{Limits, Stack},
    testing::{Echo, Keys},
    threads,
    token::Kind,
};

const PAGE: &str = "https://plaza.example";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

async fn serve(echo: Echo) -> Running {
    serve_within(echo, Limits::default()).await
}

async fn serve_within(echo: Echo, limits: Limits) -> Running {
    serve_on(Threads::default(), echo, limits).await
}

async fn serve_on(threads: Threads, echo: Echo, limits: Limits) -> Running {
    let config = WebConfig { listen: "127.0.0.1:0".to_owned(), origins: vec![PAGE.to_owned()] };
    let web = Web::take(&config, &TlsConfig::none(), threads).await.expect("a port").expect("there is to be one");
    let (address, shutdown) = (web.address().expect("bound"), Shutdown::manual());
    let served = tokio::spawn(web.serve(vec![echo.router(Stack { limits, ..Keys::new().stack() })], shutdown.clone()));
    Running { address, shutdown, served }
}

async fn echoing() -> Running {
    serve(Echo::unary(|request| async move { Ok(request.into_inner()) })).await
}

async fn connect(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("connected");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    sender
}

async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Bytes> {
    on(&mut connect(address).await, request).await
}

async fn on(sender: &mut http1::SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let (head, body) = sender.send_request(request).await.expect("answered").into_parts();
    Response::from_parts(head, body.collect().await.expect("whole").to_bytes())
}

impl Running {
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        send(self.address, request).await
    }

    async fn stop(self) {
        self.shutdown.begin();
        timeout(Duration::from_secs(2), self.served).await.expect("in time").expect("no panic");
    }
}

/// The frame of a message with `text` in field 1, as the test service has it.
fn frame(text: &str) -> Vec<u8> {
    let message = prost::Message::encode_to_vec(&text.to_owned());
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0][..], &length, &message].concat()
}

fn request(method: &str, kind: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(format!("/test.v1.EchoService/{method}")).header("host", "plaza");
    let request = request.header("content-type", kind).header("x-grpc-web", "1").header("origin", PAGE);
    request.body(Full::new(body.into())).expect("a request")
}

fn binary(method: &str, text: &str) -> Request<Full<Bytes>> {
    request(method, BINARY, frame(text))
}

fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().expect("a value"));
    request
}

/// The messages, and the trailers.
fn answer(mut body: &[u8]) -> (Vec<String>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [flags, a, b, c, d, rest @ ..] = body {
        let (frame, next) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flags & 0x80 {
            0 => messages.push(<String as prost::Message>::decode(frame).expect("a message")),
            _ => trailers = String::from_utf8(frame.to_vec()).expect("text"),
        }
        body = next;
    }
    (messages, trailers)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    header(headers, "access-control-allow-origin")
}

#[tokio::test]
async fn a_page_calls_in_binary_and_in_text() {
    let running = echoing().await;
    let response = running.send(binary("Public", "hello")).await;
    assert_eq!((response.status(), allowed(response.headers())), (StatusCode::OK, Some(PAGE)));
    let (messages, trailers) = answer(response.body());
    assert_eq!(messages, ["hello"]);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");

    let text = request("Public", TEXT, BASE64_STANDARD.encode(frame("hello")));
    let response = running.send(with(text, "accept", TEXT)).await;
    assert!(header(response.headers(), "content-type").is_some_and(|kind| kind.starts_with(TEXT)));
    // Each frame is encoded, and padded, by itself.
    let body = String::from_utf8(response.body().to_vec()).expect("text");
    let (first, last) = body.split_once('=').expect("padding");
    let frames = [format!("{first}="), last.trim_start_matches('=').to_owned()];
    let padded = |text: &String| format!("{text}{}", "=".repeat(text.len().next_multiple_of(4) - text.len()));
    let bytes: Vec<u8> = frames.iter().flat_map(|text| BASE64_STANDARD.decode(padded(text)).expect("base64")).collect();
    let (messages, trailers) = answer(&bytes);
    assert_eq!(messages, ["hello"]);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    running.stop().await;
}

#[tokio::test]
async fn a_stream_comes_message_by_message() {
    let running = serve(Echo::stream(|| tokio_stream::iter(["one", "two"].map(|text| Ok(text.to_owned()))))).await;
    let (messages, trailers) = answer(running.send(binary("Stream", "")).await.body());
    assert_eq!(messages, ["one", "two"]);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    running.stop().await;
}

#[tokio::test]
async fn a_page_reads_why_it_was_refused() {
    let running = serve(Echo::unary(|_| async move {
        let late =
            Failure::new(Code::ResourceExhausted, "echo", "ENOUGH", "enough").retry_after(Duration::from_secs(3));
        Err(late.into())
    }))
    .await;
    let refused = running.send(binary("Public", "hello")).await;
    assert_eq!(refused.status(), StatusCode::OK);
    let status = Status::from_header_map(refused.headers()).expect("in the headers");
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "enough"));
    assert_eq!(crate::failure::reason(&status).as_deref(), Some("ENOUGH"));
    let readable = header(refused.headers(), "access-control-expose-headers").expect("some");
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-retry-pushback-ms"] {
        assert!(readable.split(", ").any(|one| one == name), "{name}: {readable}");
    }
    assert_eq!(header(refused.headers(), "access-control-allow-credentials"), None);
    running.stop().await;
}

#[tokio::test]
async fn other_pages_learn_nothing_and_get_nothing_done() {
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let running = serve(Echo::unary(move |request| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move { Ok(request.into_inner()) }
    }))
    .await;
    for page in [PAGE, "https://elsewhere.example", "https://plaza.example.evil", "null"] {
        let may = page == PAGE;
        let asked =
            Request::builder().method(Method::OPTIONS).uri("/test.v1.EchoService/Public").header("host", "plaza");
        let asked = asked.header("origin", page).header("access-control-request-method", "POST");
        let asked = asked.header("access-control-request-headers", "content-type,x-grpc-web,cookie");
        let told = running.send(asked.body(Full::default()).expect("a request")).await;
        assert_eq!(told.status(), if may { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN }, "{page}");
        assert_eq!(allowed(told.headers()), may.then_some(page));
        assert_eq!(header(told.headers(), "vary"), Some("origin"), "a cache keeps them apart");
        let listed = header(told.headers(), "access-control-allow-headers").unwrap_or_default();
        assert_eq!(
            (listed.contains("authorization"), listed.contains("cookie"), listed.contains('*')),
            (may, false, false)
        );
        let called = running.send(with(binary("Public", "hello"), "origin", page)).await;
        assert_eq!((called.status() == StatusCode::OK, allowed(called.headers())), (may, may.then_some(page)));
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_for_persons_is_not_there_whatever_is_shown() {
    let keys = Keys::new();
    let who = |request: tonic::Request<String>| async move { Ok(format!("{:?}", caller(&request))) };
    let running = serve(Echo::unary(who)).await;
    let token = |kind| format!("Bearer {}", keys.token(kind));
    for method in ["Peer", "Operator", "Missing"] {
        for (name, shown) in [
            ("x-plaza-peer", keys.token(Kind::Peer)),
            ("authorization", token(Kind::Operator)),
            ("authorization", token(Kind::Access)),
        ] {
            let refused = running.send(with(binary(method, ""), name, &shown)).await;
            assert_eq!(header(refused.headers(), "grpc-status"), Some("12"), "{method} {name}");
        }
    }
    let peer = running.send(with(binary("Public", ""), "x-plaza-peer", &keys.token(Kind::Peer))).await;
    assert_eq!(answer(peer.body()).0, ["Anyone"]);
    let person = running.send(with(binary("Bearer", ""), "authorization", &token(Kind::Access))).await;
    assert!(answer(person.body()).0[0].starts_with("Person"));
    let nobody = running.send(binary("Bearer", "")).await;
    assert_eq!(header(nobody.headers(), "grpc-status"), Some("16"));
    let operator = running.send(with(binary("Bearer", ""), "authorization", &token(Kind::Operator))).await;
    assert_eq!(header(operator.headers(), "grpc-status"), Some("16"));
    running.stop().await;
}

#[tokio::test]
async fn the_limits_are_those_of_every_call() {
    let seen = |request: tonic::Request<String>| async move {
        match request.get_ref().as_str() {
            "slow" => std::future::pending().await,
            _ => Ok(format!("{:?}", client_address(&request))),
        }
    };
    let running = serve(Echo::unary(seen)).await;
    let long = running.send(binary("Public", &"a".repeat(70_000))).await;
    let status = Status::from_header_map(long.headers()).expect("in the headers");
    assert_eq!(
        (status.code(), crate::failure::reason(&status).as_deref()),
        (Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE"))
    );
    let late = running.send(with(binary("Public", "slow"), "grpc-timeout", "50m")).await;
    assert_eq!(header(late.headers(), "grpc-status"), Some("4"));
    // What a header says of addresses counts for nothing.
    let from = running.send(with(binary("Public", ""), "x-forwarded-for", "192.0.2.1")).await;
    assert_eq!(answer(from.body()).0, ["Some(127.0.0.1)"]);
    running.stop().await;
}

#[tokio::test]
async fn the_least_that_headers_may_have_serves_pages_too() {
    let echo = Echo::unary(|request| async move { Ok(request.into_inner()) });
    let running = serve_within(echo, Limits { header_bytes: 4096, ..Limits::default() }).await;
    assert_eq!(answer(running.send(binary("Public", "hello")).await.body()).0, ["hello"]);
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_call_of_grpc_web_is_refused() {
    let running = echoing().await;
    let favicon = Request::get("/favicon.ico").header("host", "plaza").body(Full::default()).expect("a request");
    assert_eq!(running.send(favicon).await.status(), StatusCode::BAD_REQUEST);
    for kind in ["text/plain", "application/grpc", "application/json"] {
        let refused = running.send(with(binary("Public", "hello"), "content-type", kind)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{kind}");
    }
    let tools = Request::post("/grpc.health.v1.Health/Check").header("host", "plaza").header("content-type", BINARY);
    let tools = running.send(tools.body(Full::new(Bytes::from_static(&[0; 5]))).expect("a request")).await;
    assert_eq!(header(tools.headers(), "grpc-status"), Some("12"));
    running.stop().await;
}

#[test]
fn connections_are_spread_over_the_cores() {
    let cores = std::thread::available_parallelism().expect("some").get();
    let where_it_is = |_| async { Ok(format!("{:?}", std::thread::current().id())) };
    let served = threads::run(async |threads| {
        let running = serve_on(threads, Echo::unary(where_it_is), Limits::default()).await;
        let (mut open, mut served) = (Vec::new(), BTreeSet::new());
        for _ in 0..2 * cores {
            let mut sender = connect(running.address).await;
            served.extend(answer(on(&mut sender, binary("Public", "")).await.body()).0);
            open.push(sender);
        }
        served
    });
    assert_eq!(served.expect("threads").len(), cores);
}

#[tokio::test]
async fn it_is_off_by_default_and_plain_text_stays_at_home() {
    let none =
        Web::take(&WebConfig::default(), &TlsConfig::none(), Threads::default()).await.expect("nothing to go wrong");
    assert!(none.is_none());
    let open = WebConfig { listen: "0.0.0.0:0".to_owned(), origins: Vec::new() };
    let refused =
        Web::take(&open, &TlsConfig::none(), Threads::default()).await.expect_err("others could read it").to_string();
    assert!(refused.contains("web.listen"), "{refused}");
}

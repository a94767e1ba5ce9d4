//! Over real sockets, in real time: what paused time cannot show.

mod ending;
mod peers;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{Limits, bind};
use crate::{
    Shutdown,
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::Random,
    testing::{
        Echo, Keys, contracts, say,
        sockets::{Running, serve as serve_within},
    },
    token::Kind,
};

async fn serve(echo: Echo, keys: &Keys, drain: Duration) -> Running {
    serve_within(echo, keys, Limits { drain, ..Limits::default() }).await
}

fn connect(address: SocketAddr, keys: &Keys, caller: &'static str) -> Channel {
    let identity = PeerIdentity::new(caller, keys.mesh.signer(Kind::Peer), keys.clock.clone(), Random::seeded(1));
    let uri = format!("http://{address}");
    Channel::connect("echo", &uri, identity, ChannelOptions { contracts: contracts(), ..ChannelOptions::default() })
}

fn echoing() -> Echo {
    Echo::unary(|request| async move { Ok(request.into_inner()) })
}

fn slow(time: Duration) -> Echo {
    Echo::unary(move |_| async move {
        sleep(time).await;
        Ok("done".to_owned())
    })
}

#[tokio::test]
async fn a_peer_calls_over_a_socket_and_proves_itself() {
    let keys = Keys::new();
    let running = serve(echoing(), &keys, Duration::from_secs(5)).await;
    let sso = connect(running.address, &keys, "sso");
    assert_eq!(say(&sso, "Peer", "hello").await.expect("named"), "hello");
    let blog = connect(running.address, &keys, "blog");
    assert_eq!(say(&blog, "Peer", "hello").await.expect_err("not named").code(), Code::PermissionDenied);
    let other = Keys { mesh: crate::token::MeshKey::new([1; 32], "test"), ..Keys::new() };
    let forger = connect(running.address, &other, "sso");
    assert_eq!(say(&forger, "Peer", "hello").await.expect_err("a forger").code(), Code::Unauthenticated);
    assert!(running.stop().await < Duration::from_secs(1), "nothing was under way");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_then_is_found() {
    let keys = Keys::new();
    let listener = bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let channel = connect(address, &keys, "sso");
    for method in ["Once", "Public"] {
        assert_eq!(say(&channel, method, "").await.expect_err("nobody there").code(), Code::Unavailable);
    }
    let listener = bind(&address.to_string()).await.expect("the same port");
    let shutdown = Shutdown::manual();
    let served = tokio::spawn(echoing().router(keys.stack()).serve(listener, shutdown.clone()));
    let found = timeout(Duration::from_secs(5), async {
        while say(&channel, "Public", "").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.expect("found");
    shutdown.begin();
    served.await.expect("no panic").expect("served");
    for uri in ["https://127.0.0.1:1", "nonsense", "http://"] {
        let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock.clone(), Random::seeded(1));
        let channel = Channel::connect("echo", uri, identity, ChannelOptions::default());
        assert_eq!(say(&channel, "Public", "").await.expect_err("no address").code(), Code::Unavailable, "{uri}");
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_is_unavailable() {
    let keys = Keys::new();
    // Cuts each connection once the request has come, with and without having spoken HTTP/2.
    for greeting in [&b""[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0][..]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let channel = connect(listener.local_addr().expect("an address"), &keys, "sso");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(greeting).await.expect("written");
                sleep(Duration::from_millis(30)).await;
            }
        });
        let status = say(&channel, "Once", "").await.expect_err("cut");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
}

#[tokio::test]
async fn calls_given_up_at_once_harm_no_other() {
    let keys = Keys::new();
    let echo = Echo::unary(|request| async move {
        let wait: u64 = request.get_ref().parse().expect("a number");
        sleep(Duration::from_millis(wait)).await;
        Ok(request.into_inner())
    });
    let running = serve(echo, &keys, Duration::from_secs(5)).await;
    let channel = connect(running.address, &keys, "sso");
    let start = |text: &'static str| {
        let channel = channel.clone();
        tokio::spawn(async move { say(&channel, "Once", text).await })
    };
    let innocent: Vec<_> = (0..50).map(|_| start("300")).collect();
    sleep(Duration::from_millis(50)).await;
    // Given up before the callee has taken them up, in bursts of ever later cancellation.
    for turns in 0..20 {
        let given_up: Vec<_> = (0..300).map(|_| start("1500")).collect();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        given_up.iter().for_each(JoinHandle::abort);
    }
    for call in innocent {
        assert_eq!(call.await.expect("no panic").expect("answered"), "300");
    }
    running.stop().await;
}

#[tokio::test]
async fn deadline_and_limit_hold_over_a_socket() {
    let keys = Keys::new();
    let running = serve(slow(Duration::from_secs(60)), &keys, Duration::from_millis(100)).await;
    let channel = connect(running.address, &keys, "sso");
    let mut request = Request::new(String::new());
    request.set_timeout(Duration::from_millis(100));
    let status = crate::testing::call(&channel, "Once", request).await.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    for (method, size) in [("Once", 64 * 1024), ("Public", 64 * 1024), ("Once", 1024 * 1024)] {
        let status = say(&channel, method, &"x".repeat(size)).await.expect_err("too long");
        assert_eq!(status.code(), Code::ResourceExhausted, "{method} {size}: {status:?}");
    }
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("x-large", "x".repeat(32 * 1024).parse().expect("ascii"));
    let status = crate::testing::call(&channel, "Once", request).await.expect_err("headers too large");
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn probes_and_grpcurl_find_what_they_need() -> Result<(), Status> {
    let keys = Keys::new();
    let router = echoing().router(keys.stack());
    let channel = Channel::anonymous(router.clone());
    let mut health = HealthClient::new(channel.clone());
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "test.v1.EchoService"] {
        assert_eq!(health.check(check(service)).await?.into_inner().status, 1);
    }
    assert_eq!(health.check(check("other")).await.expect_err("unknown").code(), Code::NotFound);
    let mut watched = health.watch(check("")).await?.into_inner();
    let mut unknown = health.watch(check("other")).await?.into_inner();
    assert_eq!(watched.message().await?.map(|answer| answer.status), Some(1));
    assert_eq!(unknown.message().await?.map(|answer| answer.status), Some(3));

    let mut reflection = ServerReflectionClient::new(channel);
    let ask = |question| ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("test.v1.EchoService".to_owned())),
        ask(MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".to_owned())),
    ];
    let mut answers = reflection.server_reflection_info(tokio_stream::iter(questions)).await?.into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await?.and_then(|a| a.message_response)
    else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["test.v1.EchoService", "grpc.health.v1.Health"]);
    for _ in 0..2 {
        let answer = answers.message().await?.and_then(|answer| answer.message_response);
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
    }

    router.stopping().begin();
    assert_eq!(watched.message().await?.map(|answer| answer.status), Some(2));
    assert_eq!(health.check(check("test.v1.EchoService")).await?.into_inner().status, 2);
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = bind("127.0.0.1:0").await.expect("a free port");
    let address = first.local_addr().expect("an address");
    let error = bind(&address.to_string()).await.expect_err("taken").to_string();
    assert!(error.contains(&format!("port {} is taken", address.port())), "{error}");
    assert!(bind("nowhere").await.expect_err("no address").to_string().contains("nowhere"));
}

#[tokio::test]
async fn who_does_not_speak_http2_holds_no_slot() {
    let keys = Keys::new();
    let limits = Limits { connections: 1, greeting: Duration::from_millis(200), ..Limits::default() };
    let running = serve_within(echoing(), &keys, limits).await;
    for words in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut halting = TcpStream::connect(running.address).await.expect("connected");
        halting.write_all(words).await.expect("written");
        let channel = connect(running.address, &keys, "sso");
        let found = timeout(Duration::from_secs(10), async {
            while say(&channel, "Public", "").await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        found.await.expect("the only slot is free again");
        drop(halting);
    }
    running.stop().await;
}

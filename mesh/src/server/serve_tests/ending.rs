//! How connections and servers end.

use std::{convert::Infallible, pin::pin};

use http::uri::PathAndQuery;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_stream::StreamExt as _;
use tonic::{body::Body, transport::Endpoint};
use tonic_prost::ProstCodec;

use super::*;
use crate::{
    failure,
    server::Router,
    testing::{listen, sockets::serve_at},
};

#[tokio::test]
async fn draining_waits_for_calls_and_not_for_streams() {
    let keys = Keys::new();
    let running = serve(slow(Duration::from_millis(300)), &keys, Duration::from_secs(5)).await;
    let channel = connect(running.address, &keys, "sso");
    let under_way = tokio::spawn(async move { say(&channel, "Once", "").await });
    let _silent = TcpStream::connect(running.address).await.expect("connected");
    sleep(Duration::from_millis(100)).await;
    let took = running.stop().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(under_way.await.expect("no panic").expect("answered"), "done");

    let ticking = Echo::stream(|| {
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(1500)));
        ticks.map(|_| Ok("tick".to_owned()))
    });
    let running = serve(ticking, &keys, Duration::from_secs(5)).await;
    let channel = connect(running.address, &keys, "sso");
    let listening = tokio::spawn(async move { listen(&channel).await });
    sleep(Duration::from_millis(100)).await;
    assert!(running.stop().await < Duration::from_secs(1));
    let (items, status) = listening.await.expect("no panic");
    assert_eq!((items.len(), status.map(|status| status.code())), (1, Some(Code::Unavailable)));

    // One that always has something to say is asked no more, either.
    let babbling = Echo::stream(|| tokio_stream::iter(std::iter::repeat_with(|| Ok("tick".to_owned()))));
    let running = serve(babbling, &keys, Duration::from_secs(5)).await;
    let channel = connect(running.address, &keys, "sso");
    let listening = tokio::spawn(async move { listen(&channel).await });
    sleep(Duration::from_millis(100)).await;
    let took = running.stop().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (_, status) = listening.await.expect("no panic");
    assert_eq!(status.map(|status| status.code()), Some(Code::Unavailable));
}

#[tokio::test]
async fn who_watches_health_is_told_of_the_end_and_holds_nothing_up() {
    let keys = Keys::new();
    let running = serve(echoing(), &keys, Duration::from_secs(5)).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).expect("a URI");
    let health = HealthClient::new(endpoint.connect().await.expect("connected"));
    let mut watched = Vec::new();
    for (service, now, then) in [("", 1, Some(2)), ("test.v1.EchoService", 1, Some(2)), ("other", 3, None)] {
        let check = HealthCheckRequest { service: service.to_owned() };
        let mut watch = health.clone().watch(check).await.expect("watched").into_inner();
        assert_eq!(watch.message().await.expect("told").expect("a status").status, now);
        watched.push((watch, then));
    }
    let took = running.stop().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    for (mut watch, then) in watched {
        if let Some(then) = then {
            assert_eq!(watch.message().await.expect("told").expect("a status").status, then);
        }
        let status = watch.message().await.expect_err("it has ended");
        assert_eq!((status.code(), failure::reason(&status).as_deref()), (Code::Unavailable, Some("UNREACHABLE")));
    }
}

/// What a client that knows nothing of the mesh is told.
async fn tell(address: SocketAddr, text: &str) -> Result<String, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URI");
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.expect("connected"));
    grpc.ready().await.expect("ready");
    let path = PathAndQuery::from_static("/test.v1.EchoService/Once");
    let answer = grpc.unary(Request::new(text.to_owned()), path, ProstCodec::<String, String>::default()).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn draining_has_a_bound() {
    let keys = Keys::new();
    let running = serve(slow(Duration::from_secs(60)), &keys, Duration::from_millis(200)).await;
    let address = running.address;
    let stuck = tokio::spawn(async move { tell(address, "").await });
    // Nor does a peer that says half a word hold it up.
    let mut halting = TcpStream::connect(running.address).await.expect("connected");
    halting.write_all(b"PRI * HTTP").await.expect("written");
    sleep(Duration::from_millis(100)).await;
    let took = running.stop().await;
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(1), "{took:?}");
    let status = stuck.await.expect("no panic").expect_err("its time is over");
    assert_eq!((status.code(), failure::reason(&status).as_deref()), (Code::Unavailable, Some("UNREACHABLE")));
}

/// Says goodbye to every connection once in 40 ms, as a callee does that limits their age.
async fn serve_with_goodbyes(listener: TcpListener, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let router = router.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let router = router.clone();
                async move { Ok::<_, Infallible>(router.handle(request.map(Body::new)).await) }
            });
            let io = TokioIo::new(stream);
            let mut served = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
            if timeout(Duration::from_millis(40), served.as_mut()).await.is_err() {
                served.as_mut().graceful_shutdown();
                let _ = served.await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_costs_hardly_a_call() {
    const CALLS: usize = 200;
    let keys = Keys::new();
    let listener = bind("127.0.0.1:0").await.expect("a free port");
    let channel = connect(listener.local_addr().expect("an address"), &keys, "sso");
    let served = tokio::spawn(serve_with_goodbyes(listener, echoing().router(keys.stack())));
    let start = |_| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let mut lost = Vec::new();
            for _ in 0..CALLS {
                lost.extend(say(&channel, "Once", "hello").await.err());
            }
            lost
        })
    };
    let callers: Vec<_> = (0..16).map(start).collect();
    let mut lost = Vec::new();
    for caller in callers {
        lost.extend(caller.await.expect("no panic"));
    }
    // A callee may close before its last word is read; what was sent meanwhile may have been seen, and is not sent again.
    assert!(lost.iter().all(|status| status.code() == Code::Unavailable), "{lost:?}");
    assert!(lost.len() * 100 <= 16 * CALLS, "{} calls were lost", lost.len());
    served.abort();
}

#[tokio::test]
async fn a_restart_costs_no_call() {
    let keys = Keys::new();
    let mut running = serve(echoing(), &keys, Duration::from_secs(5)).await;
    let channel = connect(running.address, &keys, "sso");
    for _ in 0..3 {
        assert_eq!(say(&channel, "Once", "hello").await.expect("answered"), "hello");
        let address = running.address.to_string();
        running.stop().await;
        running = serve_at(&address, echoing(), &keys, Limits::default()).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn age_and_idleness_end_connections_and_no_calls() {
    let keys = Keys::new();
    // Several ages in the first; a pause longer than the idleness, each time, in the second. Both bounds leave a slow machine
    // time to make a connection and call.
    for (age, idle, rounds, pause) in [(150, 60_000, 20, 30), (60_000, 200, 4, 300)] {
        let (age, idle) = (Duration::from_millis(age), Duration::from_millis(idle));
        let limits = Limits { age, idle, ..Limits::default() };
        let running = serve_within(slow(Duration::from_millis(20)), &keys, limits).await;
        let channel = connect(running.address, &keys, "sso");
        let start = |_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    // None is repeatable.
                    say(&channel, "Once", "").await.expect("answered");
                    sleep(Duration::from_millis(pause)).await;
                }
            })
        };
        for caller in (0..8).map(start).collect::<Vec<_>>() {
            caller.await.expect("no call lost");
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn calls_that_outlast_an_old_connection_have_a_grace_and_no_more() {
    let keys = Keys::new();
    let limits = Limits { age: Duration::from_millis(50), grace: Duration::from_millis(300), ..Limits::default() };
    let echo = Echo::unary(|request| async move {
        sleep(Duration::from_millis(request.get_ref().parse().expect("a number"))).await;
        Ok(request.into_inner())
    });
    let running = serve_within(echo, &keys, limits).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).expect("a URI");
    let mut health = HealthClient::new(endpoint.connect().await.expect("connected"));
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
    assert_eq!(tell(running.address, "150").await.expect("within the grace"), "150");
    let outlasting = tell(running.address, "1500").await.expect_err("beyond it");
    watched.message().await.expect("told").expect("serving");
    for status in [outlasting, watched.message().await.expect_err("beyond it")] {
        let told = (status.code(), failure::reason(&status));
        assert_eq!(told, (Code::Unavailable, Some("UNREACHABLE".to_owned())), "in order: {status:?}");
    }
    running.stop().await;
}

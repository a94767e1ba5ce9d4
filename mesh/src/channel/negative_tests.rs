//! gRPC's negative HTTP/2 cases (grpc/grpc, doc/negative-http2-interop-test-descriptions.md) and others like them: a scripted callee treats
//! its first call badly, on paused time. What is asked for is the status, and that the next call is none the worse for it.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, Reason, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::{Channel, ChannelOptions, Network, PeerIdentity};
use crate::{
    clock::Random,
    testing::{Keys, contracts, say},
    token::Kind,
    wire,
};

/// "hello", as gRPC frames it.
const HELLO: &[u8] = b"\0\0\0\0\x07\x0a\x05hello";

/// What becomes of the first call. All others are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// GOAWAY before its answer.
    GoAway,
    /// RST_STREAM with NO_ERROR at a point of the answer.
    ResetAfterHeaders,
    ResetInData,
    ResetAfterData,
    /// A PING before and after each part of the answer.
    Ping,
    /// One stream at a time.
    OneStream,
    /// A page in place of an answer.
    Page(u16),
    NoTrailers,
    /// Trailers with this for a `grpc-status`.
    Status(&'static str),
    /// More headers than a caller takes, before the answer or after it.
    HugeHeaders,
    HugeTrailers,
    /// A message that says it has a gibibyte.
    HugeMessage,
    /// Half a message, and OK.
    HalfMessage,
    /// HTTP/1.1 in place of HTTP/2, once.
    OldHttp,
    /// The connection is cut, once.
    Cut,
}

/// What a callee counts.
#[derive(Default)]
struct Seen {
    connections: AtomicU32,
    calls: AtomicU32,
    now: AtomicU32,
    most: AtomicU32,
    pongs: AtomicU32,
}

fn callee(deed: Deed) -> (Channel, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let counted = Arc::clone(&seen);
    let network = Network::of(
        |_, _| ready(Ok(vec![SocketAddr::from(([10, 0, 0, 1], 80))])),
        move |_| {
            let (ours, theirs) = duplex(64 * 1024);
            tokio::spawn(serve(theirs, deed, Arc::clone(&counted)));
            ready(io::Result::Ok(ours))
        },
    );
    let keys = Keys::new();
    let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock, Random::seeded(1));
    let options =
        ChannelOptions { network, random: Random::seeded(1), contracts: contracts(), ..ChannelOptions::default() };
    (Channel::connect("echo", "http://echo:80", identity, options), seen)
}

async fn serve(mut stream: DuplexStream, deed: Deed, seen: Arc<Seen>) {
    let first = seen.connections.fetch_add(1, SeqCst) == 0;
    if first && deed == Deed::OldHttp {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let mut builder = h2::server::Builder::new();
    if deed == Deed::OneStream {
        builder.max_concurrent_streams(1);
    }
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    let mut pings = connection.ping_pong();
    while let Some(Ok((_, respond))) = connection.accept().await {
        let first = seen.calls.fetch_add(1, SeqCst) == 0;
        match deed {
            Deed::Cut if first => return,
            Deed::GoAway if first => connection.graceful_shutdown(),
            _ => {}
        }
        let pings = if first && deed == Deed::Ping { pings.take() } else { None };
        let (deed, seen) = (if first { deed } else { Deed::OneStream }, Arc::clone(&seen));
        tokio::spawn(async move {
            let now = seen.now.fetch_add(1, SeqCst) + 1;
            seen.most.fetch_max(now, SeqCst);
            // A caller that reset the call wants no answer.
            let _ = answer(deed, respond, Probe { pings, seen: Arc::clone(&seen) }).await;
            seen.now.fetch_sub(1, SeqCst);
        });
    }
}

/// What stands between the parts of an answer.
struct Probe {
    pings: Option<h2::PingPong>,
    seen: Arc<Seen>,
}

impl Probe {
    /// Lets what was written leave; h2 takes back what has not when a stream is reset.
    async fn part(&mut self) {
        match &mut self.pings {
            None => sleep(Duration::from_millis(1)).await,
            Some(pings) => {
                pings.ping(Ping::opaque()).await.expect("acknowledged");
                self.seen.pongs.fetch_add(1, SeqCst);
            }
        }
    }
}

async fn answer(deed: Deed, mut respond: SendResponse<Bytes>, mut probe: Probe) -> Result<(), h2::Error> {
    probe.part().await;
    let (status, kind) = match deed {
        Deed::Page(status) => (status, "text/html"),
        _ => (200, "application/grpc"),
    };
    let mut head = http::Response::new(());
    *head.status_mut() = StatusCode::from_u16(status).expect("a status");
    head.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    if deed == Deed::HugeHeaders {
        head.headers_mut().extend(huge());
    }
    let mut body = respond.send_response(head, false)?;
    probe.part().await;
    let data = match deed {
        Deed::ResetAfterHeaders => &[],
        Deed::ResetInData | Deed::HalfMessage => &HELLO[..8],
        Deed::HugeMessage => &[0, 0x40, 0, 0, 0],
        Deed::Page(_) => &b"<html>sorry</html>"[..],
        _ => HELLO,
    };
    if !data.is_empty() {
        body.send_data(Bytes::from_static(data), matches!(deed, Deed::Page(_) | Deed::NoTrailers))?;
        probe.part().await;
    }
    match deed {
        Deed::Page(_) | Deed::NoTrailers => return Ok(()),
        Deed::ResetAfterHeaders | Deed::ResetInData | Deed::ResetAfterData => body.send_reset(Reason::NO_ERROR),
        _ => {
            let status = if let Deed::Status(status) = deed { status } else { "0" };
            let mut trailers =
                HeaderMap::from_iter([(HeaderName::from_static(wire::STATUS), HeaderValue::from_static(status))]);
            if deed == Deed::HugeTrailers {
                trailers.extend(huge());
            }
            body.send_trailers(trailers)?;
        }
    }
    if deed == Deed::Ping {
        probe.part().await;
    }
    Ok(())
}

/// Twice what a caller takes.
fn huge() -> HeaderMap {
    (0..32).map(|n| (format!("x-{n}").parse().expect("a name"), "x".repeat(1000).parse().expect("a value"))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_callee_does_badly_has_a_status_and_costs_the_next_call_nothing() {
    for (deed, wanted, connections) in [
        (Deed::GoAway, None, 2),
        (Deed::Ping, None, 1),
        // hyper takes this reset for an end (RFC 9113, 8.1), and an answer that ends without a status is UNKNOWN.
        (Deed::ResetAfterHeaders, Some(Code::Unknown), 1),
        (Deed::ResetInData, Some(Code::Internal), 1),
        (Deed::ResetAfterData, Some(Code::Unknown), 1),
        (Deed::NoTrailers, Some(Code::Unknown), 1),
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

//! A callee that treats its first call badly.

use std::{
    future::{poll_fn, ready},
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, Reason, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy, duplex, sink},
    time::sleep,
};

use crate::{
    channel::{Channel, ChannelOptions, Network, PeerIdentity},
    clock::Random,
    testing::{Keys, contracts},
    token::Kind,
    wire,
};

/// "hello", as gRPC frames it.
const HELLO: &[u8] = b"\0\0\0\0\x07\x0a\x05hello";

/// What becomes of the first call. All others are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// GOAWAY before its answer.
    GoAway,
    /// GOAWAY in its place, that names this stream as the last one, for this reason. The call is stream 1.
    Goodbye(u32, Reason),
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
    /// Messages without end.
    Endless,
    /// HTTP/1.1 in place of HTTP/2, once.
    OldHttp,
    /// The connection is cut, once.
    Cut,
}

/// What a callee counts.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicU32,
    pub(super) calls: AtomicU32,
    now: AtomicU32,
    pub(super) most: AtomicU32,
    pub(super) pongs: AtomicU32,
}

pub(super) fn callee(deed: Deed) -> (Channel, Arc<Seen>) {
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
    if let (true, Deed::Goodbye(last, reason)) = (first, deed) {
        return goodbye(stream, last, reason).await.expect("a call");
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

/// Takes a call, says goodbye, and hangs up. By hand, for h2's own server names the last stream that it has read of.
async fn goodbye(mut stream: DuplexStream, last: u32, reason: Reason) -> io::Result<()> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await?;
    stream.read_exact(&mut [0; 24]).await?;
    let mut frame = [0; 9];
    while frame[3] != HEADERS {
        stream.read_exact(&mut frame).await?;
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        copy(&mut (&mut stream).take(length.into()), &mut sink()).await?;
    }
    let parts = [&GOAWAY[..], &last.to_be_bytes(), &u32::from(reason).to_be_bytes()];
    stream.write_all(&parts.concat()).await
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
    if deed == Deed::Endless {
        return flood(body).await;
    }
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
            let mut trailers = HeaderMap::from_iter([(wire::STATUS.clone(), HeaderValue::from_static(status))]);
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

/// As many messages as the caller has room for, until it resets the call.
async fn flood(mut body: SendStream<Bytes>) -> Result<(), h2::Error> {
    loop {
        body.reserve_capacity(HELLO.len());
        let Some(room) = poll_fn(|cx| body.poll_capacity(cx)).await else { return Ok(()) };
        if room? >= HELLO.len() {
            body.send_data(Bytes::from_static(HELLO), false)?;
        }
    }
}

/// Twice what a caller takes.
fn huge() -> HeaderMap {
    (0..32).map(|n| (format!("x-{n}").parse().expect("a name"), "x".repeat(1000).parse().expect("a value"))).collect()
}

//! One HTTP/2 connection of a server.

use std::{convert::Infallible, pin::pin, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};
use tonic::body::Body;

use super::Router;
use crate::access::ClientAddress;

/// How long a peer that connected may stay silent before its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// How often an open connection is asked whether its peer is still there, and how long that may take to answer. gRFC A8's
/// 2 h would leave the connections of vanished peers for that long.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// Serves calls until the peer goes, or until the router stops and the last call is over.
pub(super) async fn serve(stream: TcpStream, router: Router) {
    // Without it, small answers wait for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() || !speaks(&stream, &router).await {
        return;
    }
    // A connection whose other end is gone already has none.
    let Ok(address) = stream.peer_addr() else { return };
    let client = ClientAddress(address.ip().to_canonical());
    let handler = router.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let router = handler.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client);
        async move { Ok::<_, Infallible>(router.handle(request).await) }
    });
    let limits = router.limits();
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .max_concurrent_streams(limits.streams)
        // A caller may give up all its calls at once; hyper's own 20 would close the connection on the calls of others.
        .max_pending_accept_reset_streams(limits.streams as usize)
        .max_header_list_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let finished = tokio::select! {
        finished = served.as_mut() => finished,
        () = router.stopping().begun() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = finished {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Whether the peer says anything before its time is up or the router stops.
async fn speaks(stream: &TcpStream, router: &Router) -> bool {
    let mut byte = [0];
    tokio::select! {
        // Unlike readability, a byte that was seen is never a false alarm.
        first = timeout(FIRST_BYTE, stream.peek(&mut byte)) => matches!(first, Ok(Ok(1))),
        () = router.stopping().begun() => false,
    }
}

//! One HTTP/2 connection of a server.

use std::time::Duration;

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tonic::body::Body;
use tower::Service as _;

use super::{
    Router,
    activity::{Activity, Line},
};
use crate::{
    access::{ClientAddress, Known},
    farewell::hear_out,
    tls::Tls,
};

/// How often an open connection is asked whether its peer is still there, and how long that may take to answer. gRFC A8's
/// 2 h would leave the connections of vanished peers for that long.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// Serves calls until the peer goes, or until the router stops and the last call is over.
pub(super) async fn serve(stream: TcpStream, tls: Option<Tls>, router: Router) {
    // Without it, small answers wait for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() || !speaks(&stream, &router).await {
        return;
    }
    // A connection whose other end is gone already has none.
    let Ok(address) = stream.peer_addr() else { return };
    let client = ClientAddress(address.ip().to_canonical());
    let Some(tls) = tls else { return speak(stream, client, None, router).await };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = router.stopping().begun() => None,
    };
    if let Some((stream, known)) = accepted {
        speak(stream, client, Some(known), router).await;
    }
}

/// HTTP/2 over whatever carries it; `known` is who the other end is, if that has been proved.
pub(super) async fn speak<S>(stream: S, client: ClientAddress, known: Option<Known>, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = router.clone();
    let activity = Activity::default();
    let calls = activity.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut router = handler.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(calls.begin());
        if let Some(known) = known.clone() {
            request.extensions_mut().insert(known);
        }
        router.call(request)
    });
    let limits = router.limits();
    let (line, greeting, returned) = Line::new(stream);
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .max_concurrent_streams(limits.streams)
        // A caller may give up all its calls at once; hyper's own 20 would close the connection on the calls of others.
        .max_pending_accept_reset_streams(limits.streams as usize)
        .max_header_list_size(limits.header_bytes)
        .serve_connection(TokioIo::new(line), service);
    let mut served = Box::pin(served);
    let farewell = tokio::select! {
        finished = served.as_mut() => return log(finished),
        farewell = farewell(&router, &activity, greeting) => farewell,
    };
    match farewell {
        // It would have to speak first to be told anything.
        Farewell::Silent => return,
        Farewell::Stop => {
            served.as_mut().graceful_shutdown();
            log(served.as_mut().await);
        }
        Farewell::Leave => {
            served.as_mut().graceful_shutdown();
            match timeout(limits.grace, served.as_mut()).await {
                Ok(finished) => log(finished),
                Err(_) => tracing::debug!("a connection was cut: its calls outlasted it"),
            }
        }
    }
    drop(served);
    // The stream is dropped, and so comes back, with what served it.
    if let Ok(stream) = returned.await {
        hear_out(stream).await;
    }
}

/// Why a connection is ended from this side.
enum Farewell {
    /// The peer does not speak HTTP/2.
    Silent,
    /// It is old enough, or was idle for long.
    Leave,
    /// The server stops.
    Stop,
}

async fn farewell(router: &Router, activity: &Activity, greeting: oneshot::Receiver<()>) -> Farewell {
    let limits = router.limits();
    tokio::select! {
        () = router.stopping().begun() => return Farewell::Stop,
        greeted = timeout(limits.greeting, greeting) => {
            if greeted.is_err() {
                return Farewell::Silent;
            }
        }
    }
    tokio::select! {
        () = router.stopping().begun() => Farewell::Stop,
        () = sleep(router.age()) => Farewell::Leave,
        () = activity.idle(limits.idle) => Farewell::Leave,
    }
}

fn log(finished: Result<(), hyper::Error>) {
    if let Err(error) = finished {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Whether the peer says anything before its time is up or the router stops.
async fn speaks(stream: &TcpStream, router: &Router) -> bool {
    let mut byte = [0];
    tokio::select! {
        // Unlike readability, a byte that was seen is never a false alarm.
        first = timeout(router.limits().greeting, stream.peek(&mut byte)) => matches!(first, Ok(Ok(1))),
        () = router.stopping().begun() => false,
    }
}

//! One HTTP/2 connection of a server.

use std::{future::ready, time::Duration};

use http::{
    HeaderValue, Method, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tonic::body::Body;
use tower::Service;

use super::{Limits, Router, activity::Activity, line::Line};
use crate::{
    access::{ClientAddress, Known},
    farewell::hear_out,
    tls::Tls,
};

/// How often an open connection is asked whether its peer is still there, and how long that may take to answer. gRFC A8's
/// 2 h would leave the connections of vanished peers for that long.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

type Answering = <Router as Service<http::Request<Body>>>::Future;

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
    let activity = Activity::new();
    tokio::select! {
        () = calls(stream, client, known, router, &activity) => {}
        () = activity.overdue() => tracing::debug!("a connection was cut: its peer does not take the answers"),
    }
}

async fn calls<S>(stream: S, client: ClientAddress, known: Option<Known>, router: Router, activity: &Activity)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (line, greeting, returned) = Line::new(stream);
    let service = service_fn(handler(router.clone(), client, known, activity.clone()));
    let limits = router.limits();
    let mut served = Box::pin(protocol(limits).serve_connection(TokioIo::new(line), service));
    tokio::select! {
        finished = served.as_mut() => return log(finished),
        farewell = farewell(&router, activity, greeting) => match farewell {
            // It would have to speak first to be told anything.
            Farewell::Silent => return,
            Farewell::Told => served.as_mut().graceful_shutdown(),
        },
    }
    match activity.finish(served.as_mut(), limits, router.stopping()).await {
        Some(finished) => log(finished),
        None => tracing::debug!("a connection was cut: its calls outlasted it"),
    }
    drop(served);
    // The stream is dropped, and so comes back, with what served it.
    if let Ok(stream) = returned.await {
        hear_out(stream).await;
    }
}

/// Hands each call to the router, with what its connection says of it.
fn handler(
    router: Router,
    client: ClientAddress,
    known: Option<Known>,
    activity: Activity,
) -> impl Fn(http::Request<Incoming>) -> Answering {
    move |request| {
        let refused = refusal(&request);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(activity.clone());
        if let Some(known) = known.clone() {
            request.extensions_mut().insert(known);
        }
        match refused {
            None => router.clone().call(request),
            Some(refused) => Box::pin(ready(Ok(refused))),
        }
    }
}

fn protocol(limits: &Limits) -> http2::Builder<TokioExecutor> {
    // More than are taken on: those beyond are to be refused, and not to wait at their caller until it is late.
    let streams = 4 * limits.streams;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .max_concurrent_streams(streams)
        // A caller may give up all its calls at once; hyper's own 20 would close the connection on the calls of others.
        .max_pending_accept_reset_streams(streams as usize)
        .max_header_list_size(limits.header_bytes);
    builder
}

/// What is answered to what is no call (gRPC over HTTP/2, Requests). A page may send text anywhere without asking first.
fn refusal<B>(request: &http::Request<B>) -> Option<http::Response<Body>> {
    let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let status = match *request.method() {
        Method::POST if kind.starts_with(b"application/grpc") => return None,
        Method::POST => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut refused = http::Response::new(Body::empty());
    *refused.status_mut() = status;
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    Some(refused)
}

/// How a connection is ended from this side.
enum Farewell {
    /// The peer does not speak HTTP/2.
    Silent,
    /// The connection is old enough, or was idle for long, or the server stops: the peer is told.
    Told,
}

async fn farewell(router: &Router, activity: &Activity, greeting: oneshot::Receiver<()>) -> Farewell {
    let limits = router.limits();
    tokio::select! {
        () = router.stopping().begun() => return Farewell::Told,
        greeted = timeout(limits.greeting, greeting) => {
            if greeted.is_err() {
                return Farewell::Silent;
            }
        }
    }
    tokio::select! {
        () = router.stopping().begun() => {}
        () = sleep(router.age()) => {}
        () = activity.idle(limits.idle) => {}
    }
    Farewell::Told
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

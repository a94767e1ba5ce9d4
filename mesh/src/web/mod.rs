//! A port for browsers: gRPC-Web over HTTP/1.1, in plain text, for a proxy that ends TLS to stand before. It has a port of its own, so that the one
//! between services speaks nothing but gRPC.
//!
//! Nobody is another service here, and nothing but what persons may call is reached: public and bearer methods, with the deadlines, the admission and
//! the limits that they have over gRPC. Health and reflection are for tools, which speak gRPC.

mod origins;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::Method;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tonic::{Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::{
    access::{ClientAddress, Known},
    door::Door,
    farewell::hear_out,
    server::{self, Activity, BindError, Line, Router},
    shutdown::Shutdown,
    threads::Threads,
    tls::{TlsConfig, TlsError},
};
use origins::Origins;

/// How long the headers of a request may take, and how long a connection may lie idle before them: longer than the 60 s for which proxies keep
/// idle connections, so that none sends a call into one that is being closed.
const HEADERS: Duration = Duration::from_secs(75);
/// What hyper reads into at least (its MINIMUM_MAX_BUFFER_SIZE): it panics if it is told to take less. gRPC's ports may be, for HTTP/2 counts headers by
/// themselves.
const LEAST_BUFFER: usize = 8192;

/// Whether browsers may call, where, and from which pages. By default they may not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// `host:port`; empty for none.
    pub listen: String,
    /// The origins of the pages that may call, `https://plaza.example`, 64 at most.
    pub origins: Vec<String>,
}

/// Why there is no port for browsers.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Not an origin.
    #[error("web.origins: {0:?} is no origin, such as https://plaza.example")]
    Origin(String),
    /// More than a list.
    #[error("web.origins has {0} origins; 64 are the most")]
    Origins(usize),
    /// The port.
    #[error("web.listen: {0}")]
    Bind(#[from] BindError),
    /// Plain text where others could read it.
    #[error("web.listen: {0}")]
    Plain(#[from] TlsError),
}

/// The port, taken.
#[derive(Debug)]
pub struct Web {
    listener: TcpListener,
    origins: Origins,
    threads: Threads,
}

impl Web {
    /// Takes the port, if there is to be one, to be served by `threads`. It is plain text, and so on loopback alone unless `tls` allows that.
    ///
    /// # Errors
    /// A port that is taken, an origin that is none, plain text where other machines can reach it; the text names it.
    pub async fn take(config: &WebConfig, tls: &TlsConfig, threads: Threads) -> Result<Option<Self>, WebError> {
        let origins = Origins::parse(&config.origins)?;
        if config.listen.is_empty() {
            return Ok(None);
        }
        let listener = server::bind(&config.listen).await?;
        if let Ok(address) = listener.local_addr() {
            tls.allows_plain_listener(address)?;
            tracing::info!(%address, "gRPC-Web");
        }
        Ok(Some(Self { listener, origins, threads }))
    }

    /// Where it is.
    ///
    /// # Errors
    /// Of the socket.
    pub fn address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers calls of what `routers` have for persons until `shutdown` begins, and lets those under way end within the drain bound of the first;
    /// what is left then is answered UNAVAILABLE. Streams end when their own router drains.
    pub async fn serve(self, routers: Vec<Router>, shutdown: Shutdown) {
        let Some(first) = routers.first().cloned() else { return };
        let edge = Edge { routers: routers.into(), first, origins: Arc::new(self.origins), shutdown };
        let mut connections = JoinSet::new();
        tokio::select! {
            () = edge.shutdown.begun() => {}
            () = edge.accept(self.listener, &self.threads, &mut connections) => {}
        }
        edge.first.finish(connections).await;
    }
}

#[derive(Clone)]
struct Edge {
    routers: Arc<[Router]>,
    /// Whose limits hold for connections.
    first: Router,
    origins: Arc<Origins>,
    shutdown: Shutdown,
}

impl Edge {
    async fn accept(&self, listener: TcpListener, threads: &Threads, connections: &mut JoinSet<()>) {
        let door = Door::new(listener, self.first.limits().connections as usize);
        loop {
            let (stream, place) = door.next().await;
            while connections.try_join_next().is_some() {}
            let edge = self.clone();
            threads.serve(stream, connections, async move |stream| {
                edge.connection(stream).await;
                drop(place);
            });
        }
    }

    async fn connection(self, stream: TcpStream) {
        // A connection whose other end is gone already has none.
        let (Ok(()), Ok(address)) = (stream.set_nodelay(true), stream.peer_addr()) else { return };
        self.speak(stream, ClientAddress(address.ip().to_canonical())).await;
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, client: ClientAddress) {
        let activity = Activity::new();
        tokio::select! {
            () = self.calls(stream, client, &activity) => {}
            () = activity.overdue() => {}
        }
    }

    async fn calls<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, client: ClientAddress, activity: &Activity) {
        let (edge, calls) = (self.clone(), activity.clone());
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let (edge, calls) = (edge.clone(), calls.clone());
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(calls);
            async move { Ok::<_, Infallible>(edge.answer(client, request).await) }
        });
        let limits = self.first.limits();
        let mut builder = http1::Builder::new();
        let buffer = (limits.header_bytes as usize).max(LEAST_BUFFER);
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(buffer);
        let (line, _, returned) = Line::new(stream);
        let mut served = Box::pin(builder.serve_connection(TokioIo::new(line), service));
        // How a browser's connection ended says nothing.
        let over = tokio::select! {
            _ = served.as_mut() => false,
            () = self.over() => true,
        };
        if over {
            served.as_mut().graceful_shutdown();
            let _ = activity.finish(served.as_mut(), limits, &self.shutdown).await;
        }
        drop(served);
        // What was answered early has not been read to its end.
        if let Ok(stream) = returned.await {
            hear_out(stream).await;
        }
    }

    /// Waits until a connection is to end from this side.
    async fn over(&self) {
        tokio::select! {
            () = self.shutdown.begun() => {}
            () = sleep(self.first.age()) => {}
        }
    }

    /// What a page, or a program that is none, is told.
    async fn answer(&self, client: ClientAddress, request: http::Request<Body>) -> http::Response<Body> {
        // A page that is not named is told nothing, and nothing is done for it.
        let page = match self.origins.check(request.headers()) {
            Ok(page) => page,
            Err(refused) => return *refused,
        };
        if let (Some(page), &Method::OPTIONS) = (&page, request.method()) {
            return origins::preflight(page);
        }
        let calls = service_fn(|request| self.call(client, request));
        let Ok(mut response) = GrpcWebLayer::new().layer(calls).oneshot(request).await;
        if let Some(page) = page {
            origins::expose(page, response.headers_mut());
        }
        response
    }

    async fn call(
        &self,
        client: ClientAddress,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Infallible> {
        let path = request.uri().path();
        let Some(router) = self.routers.iter().find(|router| router.is_for_persons(path)) else {
            return Ok(Status::unimplemented("no such method").into_http());
        };
        request.extensions_mut().insert(client);
        // No certificate was shown, and what a header says of peers counts for nothing.
        request.extensions_mut().insert(Known::Nobody);
        Ok(router.handle(request).await)
    }
}

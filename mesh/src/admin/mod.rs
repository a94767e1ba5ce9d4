//! The admin port: a small one of each process for whoever runs it, apart from the port of its calls. Plain text, HTTP/1.1 and HTTP/2.
//!
//! | asked | answered |
//! |---|---|
//! | `GET /livez` | 200 while the process runs: nothing of it waits for anything else |
//! | `GET /readyz` | 200 if every check of every service holds and no drain has begun, 503 otherwise; a line for each check |
//! | `GET /metrics` | the page for Prometheus |
//! | `grpc.health.v1` | "" and "readiness" as `/readyz`, "liveness" as `/livez` |
//!
//! It is plain text because the probes of Kubernetes speak nothing else, and says nothing secret: no reason of a failure, no address.

mod answer;
mod health;
mod readiness;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::sleep,
};
use tonic::body::Body;

use crate::{
    deadline::Deadline,
    door::Door,
    metrics::{self, ClientMetrics, Page},
    server::{self, Activity, BindError, Router},
    shutdown::Shutdown,
    stderr,
};
use readiness::{Look, Readiness};

/// Connections at a time: probes and a scraper or two.
const CONNECTIONS: usize = 64;
/// How long a connection may last, so that watchers do not take up the port. Scrapers connect again.
const LIFE: Duration = Duration::from_secs(300);
/// How long a connection may have no request, and the headers of one may take, so that silent ones do not take up the port either.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether there is an admin port, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// `host:port`; empty for none.
    pub listen: String,
}

/// What the admin port tells of a process. Clones are one.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    shutdown: Shutdown,
    readiness: Readiness,
    sources: RwLock<Vec<Source>>,
}

#[derive(Clone)]
enum Source {
    Router(Router),
    Client(&'static str, ClientMetrics),
    Other(Arc<dyn Fn(&mut Page) + Send + Sync>),
}

impl Admin {
    /// Of a process that `shutdown` stops. It is not ready before it has a service.
    pub fn new(shutdown: Shutdown) -> Self {
        let readiness = Readiness::new(shutdown.clone());
        Self(Arc::new(Inner { shutdown, readiness, sources: RwLock::default() }))
    }

    /// Adds a service, with its checks and what it counts.
    pub fn add(&self, router: Router) {
        self.0.readiness.add(router.name(), router.checks());
        self.push(Source::Router(router));
    }

    /// Adds what `service` asks of others.
    pub fn add_client(&self, service: &'static str, metrics: ClientMetrics) {
        self.push(Source::Client(service, metrics));
    }

    /// Adds what `write` writes.
    pub(crate) fn add_figures(&self, write: impl Fn(&mut Page) + Send + Sync + 'static) {
        self.push(Source::Other(Arc::new(write)));
    }

    /// Takes the port that `config` names and serves it, in a task of its own, as long as the runtime lives: to the very end of a drain.
    ///
    /// # Errors
    /// If the port cannot be taken; the text names it.
    pub async fn listen(&self, config: &AdminConfig) -> Result<(), BindError> {
        if config.listen.is_empty() {
            return Ok(());
        }
        let listener = server::bind(&config.listen).await?;
        tracing::info!(address = config.listen, "livez, readyz and metrics");
        tokio::spawn(self.clone().serve(listener));
        Ok(())
    }

    /// Serves a port that was taken, without end.
    pub async fn serve(self, listener: TcpListener) {
        let door = Door::new(listener, CONNECTIONS);
        loop {
            let (stream, place) = door.next().await;
            let admin = self.clone();
            tokio::spawn(async move {
                admin.connection(stream).await;
                drop(place);
            });
        }
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(self, stream: S) {
        let activity = Activity::new();
        let calls = activity.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (admin, call) = (self.clone(), calls.begin(Deadline::after(LIFE)));
            async move {
                let answer = answer::answer(&admin, request.map(Body::new)).await;
                // A watch goes on for as long as its answer, which has the call with it.
                let lasting = move |error| (error, &call).0;
                Ok::<_, std::convert::Infallible>(answer.map(|body| Body::new(body.map_err(lasting))))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(SILENCE);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(16);
        let served = builder.serve_connection(TokioIo::new(stream), service);
        // Whoever probes does not care how a connection ended.
        tokio::select! {
            _ = served => {}
            () = activity.idle(SILENCE) => {}
            () = sleep(LIFE) => {}
        }
    }

    async fn look(&self) -> Look {
        self.0.readiness.look().await
    }

    /// What `/metrics` shows, for Prometheus, in its text format 0.0.4.
    pub async fn metrics(&self) -> String {
        self.page().await.text()
    }

    /// What the process counts and times, by now.
    pub(crate) async fn page(&self) -> Page {
        let look = self.look().await;
        let mut page = Page::default();
        metrics::process(&mut page);
        let help = "Always 1; the labels say what runs.";
        page.gauge("plaza_build_info", help, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.gauge("plaza_draining", "1 from the signal to the end, 0 before.", &[], flag(self.0.shutdown.is_begun()));
        let help = "Lines of the log for which there was no room, since nobody reads standard error fast enough.";
        page.counter("plaza_log_lines_dropped_total", help, &[], stderr::dropped() as f64);
        for (name, holds) in &look.checks {
            page.gauge("plaza_check", "1 if the check of readiness holds, 0 if not.", &[("check", name)], flag(*holds));
        }
        let sources = self.0.sources.read().unwrap_or_else(PoisonError::into_inner).clone();
        for source in sources {
            match source {
                Source::Router(router) => router.observe(&mut page).await,
                Source::Client(service, metrics) => metrics.write(service, &mut page),
                Source::Other(write) => write(&mut page),
            }
        }
        page
    }

    fn push(&self, source: Source) {
        self.0.sources.write().unwrap_or_else(PoisonError::into_inner).push(source);
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

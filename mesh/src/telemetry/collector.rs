//! The way to a collector: OTLP over gRPC, in plain text or over TLS. A collector is no service of Plaza's: it is believed by the name of its host, and
//! shown no certificate.

use std::{io, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Status,
    client::Grpc,
    metadata::MetadataMap,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{TelemetryConfig, TelemetryError};
use crate::{clock::Clock, failure::chain, otlp::Response, tls};

const CONNECT: Duration = Duration::from_secs(5);
/// How long a collector may take over one request.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a collector that has a request is asked whether it is still there, and how long that may take: less than [`ANSWER`] together, so
/// that one which vanishes without a word costs one request. TCP alone would try for a quarter of an hour.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(4));

pub(crate) struct Collector {
    grpc: Grpc<Channel>,
    headers: MetadataMap,
    failing: bool,
}

impl Collector {
    /// Where `config` says; `None` if it says nowhere. It need not be there.
    ///
    /// # Errors
    /// A setting that does not hold.
    pub(crate) fn new(config: &TelemetryConfig, clock: &Clock) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = config.endpoint()? else { return Ok(None) };
        let (endpoint, headers) = (patient(endpoint), config.headers()?);
        if endpoint.uri().scheme_str() == Some("http") {
            return Ok(Some(Self { grpc: Grpc::new(endpoint.connect_lazy()), headers, failing: false }));
        }
        let (roots, clock) = (config.roots.clone(), clock.clone());
        tls::outward(&roots, &clock).map_err(TelemetryError::Roots)?;
        let connector = service_fn(move |uri| {
            // Each connection believes what the file says then.
            let config = tls::outward(&roots, &clock);
            async move { connect(uri, config.map_err(io::Error::other)?).await }
        });
        Ok(Some(Self { grpc: Grpc::new(endpoint.connect_with_connector_lazy(connector)), headers, failing: false }))
    }

    /// Sends a request to the method at `path` once. Returns how many spans or data points were rejected.
    ///
    /// # Errors
    /// The collector's, or UNAVAILABLE if it cannot be reached, or DEADLINE_EXCEEDED; the text says why.
    pub(crate) async fn export<M>(&mut self, path: &'static str, request: M) -> Result<u64, Status>
    where
        M: Message + 'static,
    {
        let answer = timeout(ANSWER, self.ask(path, request)).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
    }

    /// Logs that the collector no longer takes `what`, or does again: once, however long it lasts.
    pub(crate) fn log<T>(&mut self, what: &'static str, answer: &Result<T, Status>) {
        match (std::mem::replace(&mut self.failing, answer.is_err()), answer) {
            (false, Err(status)) => {
                let (code, reason) = (status.code(), status.message());
                tracing::warn!(?code, reason, "the collector does not take {what}");
            }
            (true, Ok(_)) => tracing::info!("the collector takes {what} again"),
            _ => {}
        }
    }

    async fn ask<M>(&mut self, path: &'static str, request: M) -> Result<u64, Status>
    where
        M: Message + 'static,
    {
        self.grpc.ready().await.map_err(|error| Status::unavailable(chain(&error)))?;
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        let mut request = Request::new(request);
        request.metadata_mut().clone_from(&self.headers);
        let answer = self.grpc.unary(request, path, codec).await?;
        let Response { partial_success } = answer.into_inner();
        Ok(partial_success.map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or(0)))
    }
}

fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(KEEPALIVE.0).keep_alive_timeout(KEEPALIVE.1)
}

async fn connect(uri: Uri, config: ClientConfig) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    // IPv6 stands in brackets in a URI, and nowhere else.
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    Ok(TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicBool, Ordering},
    };

    use tokio::{
        io::{copy_bidirectional, duplex},
        time::{Instant, sleep},
    };
    use tonic::Code;

    use super::*;
    use crate::{
        otlp::spans::{EXPORT, Request},
        shutdown::Shutdown,
        testing::{Echo, Keys, answer},
    };

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_vanishes_costs_one_request() {
        let (gone, first) = (Shutdown::manual(), AtomicBool::new(true));
        let router = Echo::unary(|request| async move { Ok(request.into_inner()) }).router(Keys::new().stack());
        let vanishes = gone.clone();
        let connector = service_fn(move |_: Uri| {
            let ((ours, mut near), (mut theirs, far)) = (duplex(64 * 1024), duplex(64 * 1024));
            tokio::spawn(answer(far, router.clone()));
            let ends = first.swap(false, Ordering::SeqCst).then(|| vanishes.clone());
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut theirs) => {}
                    () = Shutdown::any_begun(ends) => pending().await,
                }
            });
            async move { io::Result::Ok(TokioIo::new(ours)) }
        });
        let endpoint = patient(Endpoint::from_static("http://collector:4317"));
        let grpc = Grpc::new(endpoint.connect_with_connector_lazy(connector));
        let mut collector = Collector { grpc, headers: MetadataMap::new(), failing: false };
        let mut export = async || collector.export(EXPORT, Request::default()).await.expect_err("refused").code();
        // It knows nothing of spans, and says so.
        assert_eq!(export().await, Code::Unimplemented);
        gone.begin();
        sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        assert_ne!(export().await, Code::Unimplemented);
        assert!(began.elapsed() < ANSWER, "{:?}", began.elapsed());
        assert_eq!(export().await, Code::Unimplemented, "somebody else answers");
    }
}

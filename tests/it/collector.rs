//! A collector: OpenTelemetry's own generated servers, which take OTLP over a socket and keep it.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{
        Metric,
        metric::Data,
        number_data_point::Value::{AsDouble, AsInt},
    },
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A collector that runs until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    kept: Kept,
    tasks: JoinSet<()>,
}

/// Takes each request after a while, and keeps what is in it.
#[derive(Clone)]
struct Kept {
    spans: Arc<Mutex<Vec<Told>>>,
    metrics: Arc<Mutex<Vec<(String, Metric)>>>,
    slowness: Duration,
    /// The `x-api-key` that it wants.
    key: Option<&'static str>,
}

/// The attributes of a data point, and its value; of a distribution, how many values there are.
pub(crate) type Point = (HashMap<String, String>, f64);

/// A span and the service that made it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) service: String,
    pub(crate) span: Span,
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in self.take(request).await?.resource_spans {
            let service = service(&resource.resource.unwrap_or_default().attributes);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let told = spans.map(|span| Told { service: service.clone(), span });
            self.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for resource in self.take(request).await?.resource_metrics {
            let service = service(&resource.resource.unwrap_or_default().attributes);
            let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            let told = metrics.map(|metric| (service.clone(), metric));
            self.metrics.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl Kept {
    async fn take<T>(&self, request: Request<T>) -> Result<T, Status> {
        tokio::time::sleep(self.slowness).await;
        match self.key {
            Some(key) if request.metadata().get("x-api-key").is_none_or(|shown| shown != key) => {
                Err(Status::unauthenticated("who are you?"))
            }
            _ => Ok(request.into_inner()),
        }
    }
}

impl Collector {
    pub(crate) async fn start(slowness: Duration) -> Self {
        Self::keep(slowness, None).await
    }

    /// One that takes spans from who has the key alone, over TLS, with the certificate that `certs` has for SSO.
    pub(crate) async fn start_secure(certs: &Path, key: &'static str) -> Self {
        let mut collector = Self::keep(Duration::ZERO, Some(key)).await;
        let (listener, acceptor, plain) = (listen("0.0.0.0:0").await, acceptor(certs), collector.address);
        collector.address = (Ipv4Addr::LOCALHOST, listener.local_addr().expect("an address").port()).into();
        let ending_tls = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut near = acceptor.accept(stream).await?;
                    copy_bidirectional(&mut near, &mut TcpStream::connect(plain).await?).await
                });
            }
        };
        collector.tasks.spawn(ending_tls);
        collector
    }

    async fn keep(slowness: Duration, key: Option<&'static str>) -> Self {
        let kept = Kept { spans: Arc::default(), metrics: Arc::default(), slowness, key };
        let listener = listen("127.0.0.1:0").await;
        let address = listener.local_addr().expect("an address");
        let server = Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()))
            .add_service(MetricsServiceServer::new(kept.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("served") });
        Self { address, kept, tasks }
    }

    /// The last that `service` told of the metric `name`: its unit and its data points.
    pub(crate) fn metric(&self, service: &str, name: &str) -> Option<(String, Vec<Point>)> {
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(of, metric): &&(String, Metric)| of == service && metric.name == name;
        let (_, metric) = metrics.iter().rev().find(is_it)?;
        let number = |value| match value {
            Some(AsDouble(value)) => value,
            Some(AsInt(value)) => value as f64,
            None => panic!("{name} without a value"),
        };
        let points = match metric.data.clone()? {
            Data::Gauge(all) => {
                all.data_points.iter().map(|point| (attributes(&point.attributes), number(point.value))).collect()
            }
            Data::Sum(all) => {
                all.data_points.iter().map(|point| (attributes(&point.attributes), number(point.value))).collect()
            }
            Data::Histogram(all) => {
                all.data_points.iter().map(|point| (attributes(&point.attributes), point.count as f64)).collect()
            }
            other => panic!("{other:?}"),
        };
        Some((metric.unit.clone(), points))
    }

    /// What has come.
    pub(crate) fn spans(&self) -> Vec<Told> {
        self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).await.expect("a free port")
}

fn acceptor(certs: &Path) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(certs.join("sso.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certs.join("sso.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_no_client_auth().with_single_cert(vec![chain], key).expect("a pair");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn service(resource: &[KeyValue]) -> String {
    attributes(resource).remove("service.name").unwrap_or_default()
}

fn attributes(all: &[KeyValue]) -> HashMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(value) => Some(value.to_string()),
        Value::BoolValue(value) => Some(value.to_string()),
        other => panic!("{other:?}"),
    };
    all.iter().filter_map(|attribute| Some((attribute.key.clone(), text(attribute)?))).collect()
}

impl Told {
    pub(crate) fn attributes(&self) -> HashMap<String, String> {
        attributes(&self.span.attributes)
    }

    pub(crate) fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }

    pub(crate) fn kind(&self) -> SpanKind {
        self.span.kind()
    }
}

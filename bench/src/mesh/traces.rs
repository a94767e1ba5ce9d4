//! What is told of the calls that are measured, and to whom.

use std::{error::Error, path::PathBuf};

use ::mesh::{Clock, Random, Telemetry, TelemetryConfig, Tracer, bind, telemetry::Outsiders};
use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{
    Request, Response, Status,
    transport::{self, server::TcpIncoming},
};

/// Where spans go, and of how many flows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Traces {
    #[arg(long, requires = "ratio")]
    collector: Option<String>,
    #[arg(long, requires = "collector")]
    ratio: Option<f64>,
}

impl Traces {
    /// None.
    pub(crate) fn off() -> Self {
        Self { collector: None, ratio: None }
    }

    /// The share `ratio` of the flows, to a collector in this process.
    pub(crate) async fn of(ratio: f64) -> Result<Self, Box<dyn Error>> {
        let listener = bind("127.0.0.1:0").await?;
        let collector = format!("http://{}", listener.local_addr()?);
        let server = transport::Server::builder().add_service(TraceServiceServer::new(Collector));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(Self { collector: Some(collector), ratio: Some(ratio) })
    }

    /// The same, of another share of the flows.
    pub(crate) fn at(&self, ratio: f64) -> Self {
        Self { ratio: Some(ratio), ..self.clone() }
    }

    /// For the command line of a server.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let (Some(collector), Some(ratio)) = (&self.collector, self.ratio) else { return Vec::new() };
        vec!["--collector".to_owned(), collector.clone(), "--ratio".to_owned(), ratio.to_string()]
    }

    /// Who makes the spans of `service`.
    pub(crate) fn tracer(&self, service: &'static str) -> Result<Tracer, Box<dyn Error>> {
        let (Some(collector), Some(ratio)) = (&self.collector, self.ratio) else { return Ok(Tracer::off()) };
        let config = TelemetryConfig {
            endpoint: collector.clone(),
            roots: PathBuf::new(),
            headers: Vec::new(),
            ratio,
            queue: 2048,
            outsiders: Outsiders::Strip,
            metrics_seconds: 0,
        };
        Ok(Telemetry::start(&config, Clock::system(), Random::system())?.tracer(service))
    }
}

/// Takes everything, and keeps nothing.
struct Collector;

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

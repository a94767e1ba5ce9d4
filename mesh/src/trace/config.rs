//! The settings.

use serde::Deserialize;
use tonic::transport::Endpoint;

/// Whether flows are traced, and where spans go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// A collector that takes OTLP over gRPC, `http://host:port`; empty for none, and then nothing is traced.
    pub endpoint: String,
    /// The share of the flows which begin here that is traced, 0 to 1.
    pub ratio: f64,
    /// Spans that may wait to be sent, 1 to 1,000,000.
    pub queue: usize,
    /// What becomes of the trace context of callers who are no peers.
    pub outsiders: Outsiders,
}

/// What becomes of the trace context of callers who are no peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outsiders {
    /// Their flows begin here.
    Strip,
    /// Their flows go on here, and are traced if they say so.
    Accept,
}

/// A setting that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not an address of a collector.
    #[error("telemetry.endpoint is {0:?}; it may be empty, or http://host:port")]
    Endpoint(String),
    /// No share.
    #[error("telemetry.ratio is {0}; it may be 0 to 1")]
    Ratio(f64),
    /// Out of bounds.
    #[error("telemetry.queue is {0}; it may be 1 to 1000000")]
    Queue(usize),
}

impl TelemetryConfig {
    /// The collector, if there is one and all holds.
    pub(super) fn endpoint(&self) -> Result<Option<Endpoint>, TelemetryError> {
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(TelemetryError::Ratio(self.ratio));
        }
        if !(1..=1_000_000).contains(&self.queue) {
            return Err(TelemetryError::Queue(self.queue));
        }
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).ok();
        let endpoint = endpoint.filter(|to| to.uri().scheme_str() == Some("http") && to.uri().host().is_some());
        endpoint.map(Some).ok_or_else(|| TelemetryError::Endpoint(self.endpoint.clone()))
    }
}

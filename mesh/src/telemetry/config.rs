//! Whether flows are traced, and where a process tells of itself: the settings.

use std::path::PathBuf;

use serde::Deserialize;
use tonic::{
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::Endpoint,
};

use crate::{
    config::{Bounds, Secret},
    tls::TlsError,
};

/// The most headers that go with a request.
const HEADERS: usize = 16;

/// Whether flows are traced, and where spans and metrics go. The numbers that are read are within bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct TelemetryConfig {
    /// A collector that takes OTLP over gRPC, `http://host:port`, or `https://host:port` over TLS 1.3; empty for none, and then nothing is traced or told.
    pub endpoint: String,
    /// The authorities by which a collector at `https` is believed, as PEM; read again for each connection.
    pub roots: PathBuf,
    /// What goes with each request to a collector at `https`, `name: value`, such as an API key; 16 at most.
    pub headers: Vec<Secret>,
    /// The share of the flows which begin here that is traced, 0 to 1.
    pub ratio: f64,
    /// Spans that may wait to be sent, 1 to 1,000,000.
    pub queue: usize,
    /// What becomes of the trace context of callers who are no peers.
    pub outsiders: Outsiders,
    /// How often the collector is told metrics, in seconds, 1 to 3,600; 0 for never.
    pub metrics_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    endpoint: String,
    roots: PathBuf,
    headers: Vec<Secret>,
    ratio: f64,
    queue: usize,
    outsiders: Outsiders,
    metrics_seconds: u64,
}

impl TryFrom<Raw> for TelemetryConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let Raw { endpoint, roots, headers, ratio, queue, outsiders, metrics_seconds } = raw;
        let mut bounds = Bounds::default();
        if !(0.0..=1.0).contains(&ratio) {
            bounds.refuse(format!("telemetry.ratio must be from 0 to 1, not {ratio}"));
        }
        bounds.hold("telemetry.queue", queue as u64, 1..=1_000_000);
        bounds.hold("telemetry.metrics_seconds", metrics_seconds, 0..=3600);
        bounds.finish(Self { endpoint, roots, headers, ratio, queue, outsiders, metrics_seconds })
    }
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
    #[error("telemetry.endpoint is {0:?}; it may be empty, http://host:port, or https://host:port")]
    Endpoint(String),
    /// A collector at `https`, and nothing to believe it by.
    #[error("telemetry.roots is empty: it has to name the authorities that telemetry.endpoint is believed by")]
    NoRoots,
    /// The authorities cannot be read.
    #[error("telemetry.roots: {0}")]
    Roots(TlsError),
    /// No header. The text does not say what it is.
    #[error("telemetry.headers: number {0} is not of the form \"name: value\"")]
    Header(usize),
    /// More than a few.
    #[error("telemetry.headers has {0} headers; 16 are the most")]
    Headers(usize),
    /// Secrets in plain text.
    #[error("telemetry.headers would go out in plain text: telemetry.endpoint has to be https://host:port")]
    PlainHeaders,
}

impl TelemetryConfig {
    /// Where the collector is, if there is one and all holds.
    pub(crate) fn endpoint(&self) -> Result<Option<Endpoint>, TelemetryError> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let refused = || TelemetryError::Endpoint(self.endpoint.clone());
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).map_err(|_| refused())?;
        match (endpoint.uri().scheme_str(), endpoint.uri().host()) {
            (Some("http"), Some(_)) if !self.headers.is_empty() => Err(TelemetryError::PlainHeaders),
            (Some("https"), Some(_)) if self.roots.as_os_str().is_empty() => Err(TelemetryError::NoRoots),
            (Some("http" | "https"), Some(_)) => Ok(Some(endpoint)),
            _ => Err(refused()),
        }
    }

    /// What goes with each request.
    pub(crate) fn headers(&self) -> Result<MetadataMap, TelemetryError> {
        if self.headers.len() > HEADERS {
            return Err(TelemetryError::Headers(self.headers.len()));
        }
        let mut headers = MetadataMap::new();
        for (number, header) in (1..).zip(&self.headers) {
            let (name, value) = header_of(header.expose()).ok_or(TelemetryError::Header(number))?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}

fn header_of(line: &str) -> Option<(AsciiMetadataKey, AsciiMetadataValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value: AsciiMetadataValue = value.trim().parse().ok()?;
    // Neither printed nor kept in HPACK's table.
    value.set_sensitive(true);
    Some((name.trim().to_ascii_lowercase().parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str, headers: &[&str]) -> TelemetryConfig {
        let headers = headers.iter().copied().map(Secret::new).collect();
        let (endpoint, roots) = (endpoint.to_owned(), PathBuf::from("roots.pem"));
        TelemetryConfig {
            endpoint,
            roots,
            headers,
            ratio: 1.0,
            queue: 1,
            outsiders: Outsiders::Strip,
            metrics_seconds: 0,
        }
    }

    #[test]
    fn a_collector_is_in_plain_text_or_over_tls() {
        for endpoint in ["http://127.0.0.1:4317", "https://collector.example", "https://[::1]:4317"] {
            assert!(config(endpoint, &[]).endpoint().expect(endpoint).is_some());
        }
        assert!(config("", &[]).endpoint().expect("none").is_none());
        let unproven = TelemetryConfig { roots: PathBuf::new(), ..config("https://collector.example", &[]) };
        assert!(matches!(unproven.endpoint(), Err(TelemetryError::NoRoots)));
        for endpoint in ["127.0.0.1:4317", "grpc://127.0.0.1:4317", "https://", "nonsense"] {
            assert!(matches!(config(endpoint, &[]).endpoint(), Err(TelemetryError::Endpoint(_))), "{endpoint}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        #[derive(Debug, Deserialize)]
        struct Whole {
            #[allow(dead_code, reason = "whether it can be read is what is shown")]
            telemetry: TelemetryConfig,
        }
        let read = |lines: &str| crate::config::load::<Whole>("test", format!("[telemetry]\n{lines}").leak(), None);
        read("ratio = 1\nqueue = 1\nmetrics_seconds = 3600").expect("within");
        let wrong =
            ["ratio = 1.1", "ratio = -0.1", "ratio = nan", "queue = 0", "queue = 1000001", "metrics_seconds = 3601"];
        for line in wrong {
            let refused = read(line).expect_err(line).to_string();
            let (key, value) = line.split_once(" = ").expect("a line");
            assert!(refused.contains(&format!("telemetry.{key} must be from ")), "{refused}");
            assert!(refused.to_lowercase().contains(&format!(", not {value}")), "{refused}");
        }
        let all = read("ratio = 2\nqueue = 0\nmetrics_seconds = 3601").expect_err("all are wrong").to_string();
        assert!(["ratio", "queue", "metrics_seconds"].iter().all(|key| all.contains(key)), "{all}");
    }

    #[test]
    fn headers_go_out_over_tls_alone_and_are_not_told() {
        let headers = config("https://one", &["X-Api-Key: a:b", "other:c"]).headers().expect("two");
        assert_eq!(headers.get("x-api-key").expect("a key").to_str().expect("ascii"), "a:b");
        assert!(!format!("{headers:?}").contains("a:b"));
        let refused = config("http://one", &["x-api-key: a"]).endpoint().expect_err("plain text").to_string();
        assert!(refused.contains("telemetry.headers") && refused.contains("https"), "{refused}");
        for wrong in ["secret", "a b: secret", "a: secret\nb: c", "a-bin: secret"] {
            let refused = config("https://one", &["x: y", wrong]).headers().expect_err(wrong).to_string();
            assert!(refused.contains("number 2") && !refused.contains("secret"), "{refused}");
        }
        assert!(matches!(config("https://one", &["a: b"; 17]).headers(), Err(TelemetryError::Headers(17))));
    }
}

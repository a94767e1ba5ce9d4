//! The same as OpenTelemetry has it: under its names, and each service's by itself.

use std::{collections::BTreeMap, time::SystemTime};

use super::page::{Family, Kind, Page, Sample};
use crate::{
    clock::Clock,
    otlp::{
        KeyValue, Resource, SCHEMA, Scope,
        metrics::{
            Data, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Request, ResourceMetrics,
            ScopeMetrics, Sum, Temporality,
        },
        nanos,
    },
};

/// Names of OpenTelemetry's conventions (schema 1.42) and of gRPC (gRFCs A66, A91, A94, A96), and the units of counts. The page has the names with underscores
/// and, where it is a time, the unit behind.
const NAMES: [(&str, &str); 12] = [
    ("rpc.server.call.duration", ""),
    ("rpc.client.call.duration", ""),
    ("grpc.client.attempt.started", "{attempt}"),
    ("grpc.client.call.retries", "{retry}"),
    ("grpc.client.call.transparent_retries", "{transparent_retry}"),
    ("grpc.subchannel.connection_attempts_succeeded", "{attempt}"),
    ("grpc.subchannel.connection_attempts_failed", "{attempt}"),
    ("grpc.subchannel.disconnections", "{disconnection}"),
    ("grpc.lb.outlier_detection.ejections_enforced", "{ejection}"),
    ("db.client.operation.duration", ""),
    ("db.client.connection.wait_time", ""),
    ("db.client.connection.pending_requests", "{request}"),
];
/// What Prometheus' clients call otherwise.
const RENAMED: [(&str, (&str, &str)); 5] = [
    ("process_cpu", ("process.cpu.time", "")),
    ("process_resident_memory", ("process.memory.usage", "")),
    ("process_virtual_memory", ("process.memory.virtual", "")),
    ("process_threads", ("process.thread.count", "{thread}")),
    ("process_open_fds", ("process.unix.file_descriptor.count", "{file_descriptor}")),
];
const ATTRIBUTES: [&str; 11] = [
    "rpc.system.name",
    "rpc.method",
    "rpc.response.status_code",
    "server.address",
    "grpc.method",
    "grpc.target",
    "grpc.lb.outlier_detection.detection_method",
    "db.system.name",
    "db.operation.name",
    "db.client.connection.pool.name",
    "error.type",
];
/// The label that says whose a sample is: it is the resource here.
const SERVICE: &str = "service";

/// Who tells it.
#[derive(Debug)]
pub(crate) struct Teller {
    /// The process: what belongs to no service of it is told of this name.
    pub(crate) name: &'static str,
    /// `service.instance.id`
    pub(crate) instance: String,
    pub(crate) clock: Clock,
    /// When counting began.
    pub(crate) began: SystemTime,
}

/// What time a data point is of: from, and until.
type Times = [u64; 2];

impl Page {
    /// All of it, in one request.
    pub(crate) fn request(self, teller: &Teller) -> Request {
        let times = [nanos(teller.began), nanos(teller.clock.now())];
        let mut metrics: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
        for (name, Family { help, kind, samples }) in self.0 {
            for (service, samples) in by_service(samples, teller.name) {
                metrics.entry(service).or_default().push(metric(name, help, kind, samples, times));
            }
        }
        let told = |(service, metrics): (String, _)| ResourceMetrics {
            resource: Some(Resource::of(&service, &teller.instance)),
            scope_metrics: vec![ScopeMetrics { scope: Some(Scope::own()), metrics }],
            schema_url: SCHEMA.to_owned(),
        };
        Request { resource_metrics: metrics.into_iter().map(told).collect() }
    }
}

fn by_service(samples: Vec<Sample>, process: &str) -> BTreeMap<String, Vec<Sample>> {
    let mut all: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for mut sample in samples {
        let label = sample.labels.iter().position(|(label, _)| *label == SERVICE);
        let service = label.map_or_else(|| process.to_owned(), |label| sample.labels.remove(label).1);
        all.entry(service).or_default().push(sample);
    }
    all
}

fn metric(name: &str, help: &str, kind: Kind, samples: Vec<Sample>, times: Times) -> Metric {
    let (name, unit) = name_and_unit(name);
    let aggregation_temporality = Temporality::Cumulative.into();
    let data = match kind {
        Kind::Histogram => {
            let data_points = samples.into_iter().map(|sample| distribution(sample, times)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }
        // What the conventions name is no gauge of theirs, but an up-down counter: such figures of several processes may be added.
        Kind::Gauge if !name.contains('.') => Data::Gauge(Gauge { data_points: numbers(samples, times) }),
        Kind::Gauge | Kind::Counter => Data::Sum(Sum {
            data_points: numbers(samples, times),
            aggregation_temporality,
            is_monotonic: kind == Kind::Counter,
        }),
    };
    Metric { name, description: help.to_owned(), unit: unit.to_owned(), data: Some(data) }
}

fn numbers(samples: Vec<Sample>, [from, until]: Times) -> Vec<NumberDataPoint> {
    let number = |Sample { labels, value, .. }| NumberDataPoint {
        start_time_unix_nano: from,
        time_unix_nano: until,
        as_double: Some(value),
        attributes: attributes(labels),
    };
    samples.into_iter().map(number).collect()
}

fn distribution(Sample { labels, value, buckets }: Sample, [from, until]: Times) -> HistogramDataPoint {
    // The last bound, `+Inf`, goes without saying.
    let bounds = buckets.iter().filter_map(|(bound, _)| bound.parse().ok()).filter(|bound: &f64| bound.is_finite());
    HistogramDataPoint {
        start_time_unix_nano: from,
        time_unix_nano: until,
        count: buckets.iter().map(|(_, count)| count).sum(),
        sum: Some(value),
        explicit_bounds: bounds.collect(),
        bucket_counts: buckets.iter().map(|(_, count)| *count).collect(),
        attributes: attributes(labels),
    }
}

fn attributes(labels: Vec<(&'static str, String)>) -> Vec<KeyValue> {
    let own = |label| ATTRIBUTES.into_iter().find(|dotted| is_dotted(dotted, label)).unwrap_or(label);
    labels.into_iter().map(|(label, text)| KeyValue::new(own(label), text)).collect()
}

/// The name, and the unit as UCUM writes it.
fn name_and_unit(name: &str) -> (String, &'static str) {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let units = [("_seconds", "s"), ("_bytes", "By")];
    let unit = units.iter().find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, *unit)));
    let (name, unit) = unit.unwrap_or((name, ""));
    let convention = || NAMES.into_iter().find(|(dotted, _)| is_dotted(dotted, name));
    let renamed = || RENAMED.into_iter().find(|(own, _)| *own == name).map(|(_, other)| other);
    match convention().or_else(renamed) {
        Some((other, count)) => (other.to_owned(), if unit.is_empty() { count } else { unit }),
        None => (name.to_owned(), unit),
    }
}

/// Whether it is what is written `name` on the page.
fn is_dotted(dotted: &str, name: &str) -> bool {
    dotted.replace('.', "_") == name
}

//! Calls by method and code: OpenTelemetry's `rpc.server.call.duration` and `rpc.client.call.duration`, and what they leave out.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tonic::Code;

use super::Page;
use crate::wire::{CODES, code_name, is_callees_fault};

/// The upper bounds that OpenTelemetry advises for calls, in microseconds, and as they are written, in seconds.
const BOUNDS: [(u64, &str); 14] = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (75_000, "0.075"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (750_000, "0.75"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (7_500_000, "7.5"),
    (10_000_000, "10"),
];

/// What a method is called that no contract names: a caller that invents methods must not make series.
pub(crate) const OTHER: &str = "_OTHER";

/// Which end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// Why a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// For the first time.
    First,
    /// Again, after a failure (gRFC A6).
    Retry,
    /// Again, because the callee saw nothing of it.
    Transparent,
}

/// The upper bounds that gRFC A96 advises for retries of a call.
const REPEATS: [&str; 5] = ["1", "2", "3", "4", "5"];

/// The calls of one service, on one side.
pub(crate) struct Calls {
    side: Side,
    /// By path, where it stands in `methods`.
    places: HashMap<&'static str, usize>,
    /// By path; the last is for what no contract names.
    methods: Vec<(&'static str, Method)>,
}

#[derive(Default)]
struct Method {
    /// Made when the first call ends with the code: most never do.
    by_code: [OnceLock<Box<Histogram>>; CODES.len()],
    began: AtomicU64,
    ended: AtomicU64,
    attempts: AtomicU64,
    retries: Repeats,
    transparent: Repeats,
}

/// How often the calls that were sent again were. The last bucket is for what is over the last bound.
#[derive(Default)]
struct Repeats {
    buckets: [AtomicU64; REPEATS.len() + 1],
    sum: AtomicU64,
}

impl Repeats {
    /// A call that was sent once is not told of (A96).
    fn add(&self, times: u32) {
        if times > 0 {
            self.buckets[(times as usize - 1).min(REPEATS.len())].fetch_add(1, Relaxed);
            self.sum.fetch_add(times.into(), Relaxed);
        }
    }

    fn write(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)], page: &mut Page) {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        if counts.iter().any(|count| *count > 0) {
            let bounds = REPEATS.into_iter().chain(["+Inf"]);
            page.histogram(name, help, labels, bounds.zip(counts), self.sum.load(Relaxed) as f64);
        }
    }
}

/// Durations. The last bucket is for what is over the last bound.
#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|(bound, _)| *bound < micros);
        self.buckets[at].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }
}

/// A call under way. It is counted when it is dropped, so that none is missed: one that nobody waited for is CANCELLED.
pub(crate) struct Timed {
    calls: Arc<Calls>,
    /// Where its method stands.
    place: usize,
    began: Instant,
    code: Option<Code>,
    retries: u32,
    transparent: u32,
}

impl Timed {
    /// A request is sent.
    pub(crate) fn sent(&mut self, why: Sent) {
        self.method().attempts.fetch_add(1, Relaxed);
        match why {
            Sent::First => {}
            Sent::Retry => self.retries += 1,
            Sent::Transparent => self.transparent += 1,
        }
    }

    /// Notes the outcome. The first counts.
    pub(crate) fn end(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }

    /// How long it has taken up to now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn method(&self) -> &Method {
        &self.calls.methods[self.place].1
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let method = self.method();
        method.ended.fetch_add(1, Relaxed);
        method.retries.add(self.retries);
        method.transparent.add(self.transparent);
        let code = self.code.unwrap_or(Code::Cancelled) as usize;
        method.by_code[code].get_or_init(Box::default).add(self.elapsed());
    }
}

impl Calls {
    /// None yet, of the methods at `paths` (`/package.Service/Method`); any other method is `_OTHER`.
    pub(crate) fn new(side: Side, paths: impl Iterator<Item = &'static str>) -> Self {
        let mut paths: Vec<_> = paths.collect();
        paths.sort_unstable();
        let places = paths.iter().zip(0..).map(|(path, place)| (*path, place)).collect();
        let methods = paths.into_iter().chain([OTHER]).map(|path| (path, Method::default())).collect();
        Self { side, places, methods }
    }

    /// A call begins.
    pub(crate) fn begin(self: &Arc<Self>, path: &str) -> Timed {
        let place = self.places.get(path).copied().unwrap_or(self.places.len());
        self.methods[place].1.began.fetch_add(1, Relaxed);
        Timed { calls: Arc::clone(self), place, began: Instant::now(), code: None, retries: 0, transparent: 0 }
    }

    /// Writes all of it, as the calls of `service`.
    pub(crate) fn write(&self, service: &str, page: &mut Page) {
        let mut in_flight = 0;
        for (path, method) in &self.methods {
            // Ended first: a call that ends between the two reads must not make it negative.
            let ended = method.ended.load(Relaxed);
            let began = method.began.load(Relaxed);
            in_flight += began.saturating_sub(ended);
            let name = path.trim_start_matches('/');
            self.write_durations(service, name, method, page);
            if self.side == Side::Client && began > 0 {
                write_sent(service, name, method, page);
            }
        }
        let (name, help) = match self.side {
            Side::Server => ("plaza_server_calls_in_flight", "Calls that are being answered."),
            Side::Client => ("plaza_client_calls_in_flight", "Calls to other services that are not answered yet."),
        };
        page.gauge(name, help, &[("service", service)], in_flight as f64);
    }

    fn write_durations(&self, service: &str, name: &str, method: &Method, page: &mut Page) {
        let (metric, help) = match self.side {
            Side::Server => ("rpc_server_call_duration_seconds", "How long calls took, from request to last byte."),
            Side::Client => {
                ("rpc_client_call_duration_seconds", "How long calls to other services took, all attempts included.")
            }
        };
        for (number, histogram) in (0..).zip(&method.by_code) {
            let Some(histogram) = histogram.get() else { continue };
            let code = Code::from_i32(number);
            let failed = match self.side {
                Side::Server => is_callees_fault(code),
                Side::Client => code != Code::Ok,
            };
            let mut labels = vec![
                ("service", service),
                ("rpc_system_name", "grpc"),
                ("rpc_method", name),
                ("rpc_response_status_code", code_name(code)),
            ];
            labels.extend((self.side == Side::Client).then_some(("server_address", callee(name))));
            labels.extend(failed.then_some(("error_type", code_name(code))));
            let counts = histogram.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
            let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
            let sum = Duration::from_micros(histogram.micros.load(Relaxed)).as_secs_f64();
            page.histogram(metric, help, &labels, bounds.zip(counts), sum);
        }
    }
}

/// The first part of a contract's package is the service that has it.
fn callee(method: &str) -> &str {
    method.split('.').next().unwrap_or(method)
}

/// Under the names of gRFC A66 and A96.
fn write_sent(service: &str, name: &str, method: &Method, page: &mut Page) {
    let labels = [("service", service), ("grpc_method", name), ("grpc_target", callee(name))];
    let attempts = method.attempts.load(Relaxed) as f64;
    page.counter("grpc_client_attempt_started_total", "Requests sent; several may make one call.", &labels, attempts);
    let help = "How often calls were sent again after a failure (gRFC A6); those that were not are not counted.";
    method.retries.write("grpc_client_call_retries", help, &labels, page);
    let help = "How often calls were sent again because the callee had seen nothing of them.";
    method.transparent.write("grpc_client_call_transparent_retries", help, &labels, page);
}

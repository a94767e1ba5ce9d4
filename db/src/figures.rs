//! What a database is asked to do and what comes of it, under the names of OpenTelemetry's conventions for clients of databases (`db.client.*`), as
//! Prometheus spells them. Counting takes no lock and, after a transaction's first end of a kind, no memory.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Error;
use crate::work::Sample;

/// How many names of transactions are told apart; more are `_OTHER`. They are constants of the program.
const NAMES: usize = 256;
/// The upper bounds that OpenTelemetry advises for operations, in microseconds, and as they are written, in seconds.
const SECONDS: [(u64, &str); 9] = [
    (1_000, "0.001"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];
/// How many transactions SQLite has committed as one.
const GROUPS: [(u64, &str); 7] = [(1, "1"), (2, "2"), (4, "4"), (8, "8"), (16, "16"), (32, "32"), (64, "64")];

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// Its closure returned an error, and it was undone.
    Refused,
    Panicked,
    Full,
    Late,
    Unavailable,
    OutcomeUnknown,
    Failed,
}

/// What OpenTelemetry calls `error.type`; empty for none.
const ENDS: [&str; 8] = ["", "refused", "panicked", "full", "late", "unavailable", "outcome_unknown", "failed"];

impl From<&Error> for End {
    fn from(error: &Error) -> Self {
        match error {
            Error::Full => Self::Full,
            Error::Late => Self::Late,
            Error::Unavailable => Self::Unavailable,
            Error::OutcomeUnknown => Self::OutcomeUnknown,
            Error::Panicked => Self::Panicked,
            Error::Unique { .. } | Error::Engine(_) | Error::Query(_) => Self::Failed,
        }
    }
}

/// A distribution. The last bucket is for what is over the last bound.
struct Histogram<const N: usize> {
    bounds: [(u64, &'static str); N],
    buckets: [AtomicU64; N],
    over: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: [(u64, &'static str); N]) -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Self { bounds, buckets, over: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    fn add(&self, value: u64) {
        let at = self.bounds.partition_point(|(bound, _)| *bound < value);
        self.buckets.get(at).unwrap_or(&self.over).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// As a sample, the sum divided by `unit`.
    fn sample(&self, name: &'static str, help: &'static str, labels: &Labels, unit: f64) -> Sample {
        let bounds = self.bounds.iter().map(|(_, text)| *text).chain(["+Inf"]);
        let counts = self.buckets.iter().chain([&self.over]).map(|bucket| bucket.load(Relaxed));
        let (labels, value) = (labels.clone(), self.sum.load(Relaxed) as f64 / unit);
        Sample { name, help, labels, value, buckets: bounds.zip(counts).collect() }
    }
}

type Labels = Vec<(&'static str, String)>;
type Durations = Histogram<{ SECONDS.len() }>;

/// The transactions of one name.
struct Operation {
    name: &'static str,
    ends: [OnceLock<Box<Durations>>; ENDS.len()],
}

impl Operation {
    fn new(name: &'static str) -> Self {
        Self { name, ends: Default::default() }
    }
}

/// What is counted of one database.
pub(crate) struct Figures {
    /// By name, each in the first free place from where its hash points.
    operations: Box<[OnceLock<Operation>]>,
    other: Operation,
    waits: Durations,
    groups: Histogram<{ GROUPS.len() }>,
    open: AtomicU64,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self {
            operations: std::iter::repeat_with(OnceLock::new).take(NAMES).collect(),
            other: Operation::new("_OTHER"),
            waits: Histogram::new(SECONDS),
            groups: Histogram::new(GROUPS),
            open: AtomicU64::new(0),
        }
    }

    /// A transaction has ended: it waited for its turn, and then ran until it was durable or undone.
    pub(crate) fn ended(&self, name: &'static str, end: End, waited: Duration, ran: Duration) {
        self.waits.add(micros(waited));
        let durations = self.operation(name).ends[end as usize].get_or_init(|| Box::new(Histogram::new(SECONDS)));
        durations.add(micros(ran));
    }

    /// SQLite has committed `size` transactions as one.
    pub(crate) fn committed(&self, size: usize) {
        self.groups.add(size as u64);
    }

    /// A worker has, or no longer has, a connection.
    pub(crate) fn connected(&self, before: bool, now: bool) {
        match (before, now) {
            (false, true) => _ = self.open.fetch_add(1, Relaxed),
            (true, false) => _ = self.open.fetch_sub(1, Relaxed),
            _ => {}
        }
    }

    fn operation(&self, name: &'static str) -> &Operation {
        // FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let from = (hash % NAMES as u64) as usize;
        let (before, after) = self.operations.split_at(from);
        let mut places = after.iter().chain(before).map(|place| place.get_or_init(|| Operation::new(name)));
        places.find(|place| place.name == name).unwrap_or(&self.other)
    }

    /// All of it, as the database of `service`, with the jobs that wait in each queue.
    pub(crate) fn samples(
        &self,
        service: &'static str,
        system: &'static str,
        queues: &[(&'static str, usize)],
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        let labels = |more: &[(&'static str, &str)]| -> Labels {
            let all = [("service", service), ("db_system_name", system)];
            all.iter().chain(more).map(|(label, text)| (*label, (*text).to_owned())).collect()
        };
        for operation in self.operations.iter().filter_map(OnceLock::get).chain([&self.other]) {
            for (error, durations) in ENDS.iter().zip(&operation.ends) {
                let Some(durations) = durations.get() else { continue };
                let mut of = labels(&[("db_operation_name", operation.name)]);
                if !error.is_empty() {
                    of.push(("error_type", (*error).to_owned()));
                }
                let help = "How long transactions took, from their turn to their end.";
                samples.push(durations.sample("db_client_operation_duration_seconds", help, &of, 1e6));
            }
        }
        let help = "How long transactions waited for their turn on a connection.";
        samples.push(self.waits.sample("db_client_connection_wait_time_seconds", help, &labels(&[]), 1e6));
        if system == "sqlite" {
            let help = "How many transactions were committed as one.";
            samples.push(self.groups.sample("plaza_db_group_transactions", help, &labels(&[]), 1.0));
        }
        for (queue, length) in queues {
            let (help, of) =
                ("Transactions that wait for their turn.", labels(&[("db_client_connection_pool_name", queue)]));
            let name = "db_client_connection_pending_requests";
            samples.push(Sample { name, help, labels: of, value: *length as f64, buckets: Vec::new() });
        }
        // OpenTelemetry's own name for it ends in `_count`, which Prometheus keeps for histograms.
        let (name, help) = ("plaza_db_connections_open", "Connections that are open.");
        let open = self.open.load(Relaxed) as f64;
        samples.push(Sample { name, help, labels: labels(&[]), value: open, buckets: Vec::new() });
        samples
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(figures: &Figures, name: &str, wanted: &[(&str, &str)]) -> Sample {
        let samples = figures.samples("sso", "sqlite", &[("write", 3)]);
        let holds = |sample: &Sample| {
            let has =
                |(label, text): &(&str, &str)| sample.labels.iter().any(|(key, value)| key == label && value == text);
            sample.name == name && wanted.iter().all(has)
        };
        samples.into_iter().find(holds).expect("a sample")
    }

    /// How many values there are, and how many of them up to `bound`.
    fn counts(sample: &Sample, bound: &str) -> (u64, u64) {
        let up_to = sample.buckets.iter().position(|(own, _)| *own == bound).expect("a bound");
        let sum = |buckets: &[(&str, u64)]| buckets.iter().map(|(_, count)| count).sum();
        (sum(&sample.buckets), sum(&sample.buckets[..=up_to]))
    }

    #[test]
    fn transactions_are_told_apart_by_name_and_end() {
        let figures = Figures::new();
        let millis = Duration::from_millis;
        figures.ended("sign_up", End::Done, millis(1), millis(5));
        figures.ended("sign_up", End::Done, millis(1), millis(6));
        figures.ended("sign_up", End::Late, millis(400), millis(0));
        figures.committed(3);
        let (durations, sign_up) = ("db_client_operation_duration_seconds", ("db_operation_name", "sign_up"));
        let done = find(&figures, durations, &[sign_up]);
        // A bound belongs to its own bucket.
        assert_eq!((counts(&done, "0.005"), done.value), ((2, 1), 0.011));
        let late = find(&figures, durations, &[sign_up, ("error_type", "late")]);
        assert_eq!(counts(&late, "+Inf"), (1, 1));
        let waits = find(&figures, "db_client_connection_wait_time_seconds", &[]);
        assert_eq!(counts(&waits, "0.001"), (3, 2));
        let groups = find(&figures, "plaza_db_group_transactions", &[]);
        assert_eq!((counts(&groups, "2"), groups.value), ((1, 0), 3.0));
        assert_eq!(find(&figures, "db_client_connection_pending_requests", &[]).value, 3.0);
    }

    #[test]
    fn names_without_end_make_no_series_without_end() {
        let figures = Figures::new();
        for number in 0..NAMES + 10 {
            let name: &'static str = format!("name_{number}").leak();
            figures.ended(name, End::Done, Duration::ZERO, Duration::ZERO);
        }
        for (name, count) in [("_OTHER", 10), ("name_7", 1)] {
            let sample = find(&figures, "db_client_operation_duration_seconds", &[("db_operation_name", name)]);
            assert_eq!(counts(&sample, "+Inf").0, count, "{name}");
        }
    }
}

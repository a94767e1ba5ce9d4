//! What there is to see of leased work: what is owed, by the database, and what came of this process's attempts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Backlog;
use crate::At;

/// Who made an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Whoever owed it, at once.
    Owner,
    /// A worker, later.
    Worker,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is owed any more.
    Done,
    /// It is to be tried again.
    Postponed,
    /// Nobody tries it before somebody has looked at it.
    Parked,
    /// Nothing is owed any more, though it came to nothing.
    GivenUp,
    /// Somebody else held the row by then, and what this attempt came to changed nothing.
    Fenced,
}

const BY: [(By, &str); 2] = [(By::Owner, "owner"), (By::Worker, "worker")];
const END: [(End, &str); 5] = [
    (End::Done, "done"),
    (End::Postponed, "postponed"),
    (End::Parked, "parked"),
    (End::GivenUp, "given_up"),
    (End::Fenced, "fenced"),
];

/// A figure under a name of Prometheus; one that ends in `_total` only goes up while the process lives.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The name.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// What tells it from others of the name.
    pub labels: Vec<(&'static str, String)>,
    /// The figure; of a distribution, the sum of its values.
    pub value: f64,
    /// Of a distribution, for each upper bound the number of values over the bound before, `+Inf` being the last bound; else nothing.
    pub buckets: Vec<(&'static str, u64)>,
}

/// The attempts of this process.
#[derive(Debug)]
pub struct Tally {
    work: &'static str,
    targets: Vec<Attempts>,
}

#[derive(Debug)]
struct Attempts {
    target: i16,
    name: &'static str,
    ends: [[AtomicU64; END.len()]; BY.len()],
}

impl Tally {
    /// None yet, of the work that is called `work`, for the targets, each with its name.
    pub fn new(work: &'static str, targets: impl IntoIterator<Item = (i16, &'static str)>) -> Self {
        let attempts = |(target, name)| Attempts { target, name, ends: Default::default() };
        Self { work, targets: targets.into_iter().map(attempts).collect() }
    }

    /// Counts an attempt.
    pub fn count(&self, target: i16, by: By, end: End) {
        if let Some(attempts) = self.targets.iter().find(|attempts| attempts.target == target) {
            attempts.ends[by as usize][end as usize].fetch_add(1, Relaxed);
        }
    }

    /// All of it, with what is owed at `now`: the same for all replicas, since it is read from their one database.
    pub fn samples(&self, backlog: &[Backlog], now: At) -> Vec<Sample> {
        let mut samples = Vec::new();
        for Attempts { target, name: to, ends } in &self.targets {
            let to = [("work", self.work), ("target", *to)];
            let mut sample = |name, help, labels: &[(&'static str, &str)], value| {
                let labels = to.iter().chain(labels).map(|(label, text)| (*label, (*text).to_owned())).collect();
                samples.push(Sample { name, help, labels, value, buckets: Vec::new() });
            };
            let owed = backlog.iter().find(|owed| owed.target == *target);
            let (pending, parked) = owed.map_or((0, 0), |owed| (owed.pending, owed.parked));
            let age = owed.and_then(|owed| owed.oldest).map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            sample("plaza_work_pending", "What is owed and will be tried, up to 10000.", &[], pending as f64);
            sample(
                "plaza_work_parked",
                "What is owed and waits for somebody to look at it, up to 10000.",
                &[],
                parked as f64,
            );
            sample("plaza_work_oldest_seconds", "Since when the oldest of it is owed; 0 if nothing is.", &[], age);
            for (by, by_name) in BY {
                for (end, end_name) in END {
                    let labels = [("by", by_name), ("end", end_name)];
                    let count = ends[by as usize][end as usize].load(Relaxed);
                    sample("plaza_work_attempts_total", "Attempts, by whom and with what end.", &labels, count as f64);
                }
            }
        }
        samples
    }
}

//! How a channel is: its endpoints, its picks and its retry budget. Names are gRPC's where gRPC has one (gRFC A91, A94), `grpc_target` being the callee.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Page;

/// What has happened on a channel since it was made.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections made.
    pub(crate) connected: AtomicU64,
    /// Connections that could not be made.
    pub(crate) refused: AtomicU64,
    /// Connections that ended.
    pub(crate) lost: AtomicU64,
    /// Ejections for failures one after the other.
    pub(crate) ejected_at_once: AtomicU64,
    /// Ejections for the share of failures (gRFC A50).
    pub(crate) ejected_in_time: AtomicU64,
    /// Calls that found no connection and waited for one.
    pub(crate) waited: AtomicU64,
}

/// A channel, looked at; or all channels of a service to one callee.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) callee: &'static str,
    /// What is left of the retry budget; of several, of the smallest.
    pub(crate) tokens: f64,
    /// `None` in memory, where there are no connections.
    pub(crate) pool: Option<SeenPool>,
}

/// The endpoints of a channel, looked at.
#[derive(Debug)]
pub(crate) struct SeenPool {
    /// How many endpoints there are in each state.
    pub(crate) endpoints: Vec<(&'static str, usize)>,
    /// Calls that wait for a connection.
    pub(crate) waiting: usize,
    pub(crate) counts: Vec<Count>,
}

/// One of [`Counts`], looked at.
#[derive(Debug)]
pub(crate) struct Count {
    name: &'static str,
    help: &'static str,
    /// The one beside the callee's.
    label: Option<(&'static str, &'static str)>,
    count: u64,
}

impl Counts {
    pub(crate) fn read(&self) -> Vec<Count> {
        let count = |name, help, count: &AtomicU64| Count { name, help, label: None, count: count.load(Relaxed) };
        let ejected = |method, ejections| Count {
            label: Some(("grpc_lb_outlier_detection_detection_method", method)),
            ..count(
                "grpc_lb_outlier_detection_ejections_enforced_total",
                "Endpoints that were left for failing too many calls.",
                ejections,
            )
        };
        vec![
            count("grpc_subchannel_connection_attempts_succeeded_total", "Connections made.", &self.connected),
            count(
                "grpc_subchannel_connection_attempts_failed_total",
                "Connections that could not be made.",
                &self.refused,
            ),
            count("grpc_subchannel_disconnections_total", "Connections that ended.", &self.lost),
            ejected("consecutive_failures", &self.ejected_at_once),
            ejected("failure_percentage", &self.ejected_in_time),
            count(
                "plaza_channel_picks_waited_total",
                "Calls that found no connection and waited for one.",
                &self.waited,
            ),
        ]
    }
}

impl SeenPool {
    fn sum(mut self, other: Self) -> Self {
        for (state, count) in other.endpoints {
            match self.endpoints.iter_mut().find(|(own, _)| *own == state) {
                Some((_, own)) => *own += count,
                None => self.endpoints.push((state, count)),
            }
        }
        self.waiting += other.waiting;
        self.counts.iter_mut().zip(other.counts).for_each(|(own, other)| own.count += other.count);
        self
    }
}

impl Seen {
    /// Adds another channel to the same callee.
    pub(super) fn join(&mut self, other: Self) {
        self.tokens = self.tokens.min(other.tokens);
        self.pool = match (self.pool.take(), other.pool) {
            (Some(one), Some(other)) => Some(one.sum(other)),
            (one, other) => one.or(other),
        };
    }

    pub(super) fn write(&self, service: &str, page: &mut Page) {
        let labels = [("service", service), ("grpc_target", self.callee)];
        let help = "The retry budget of a channel, 1000 when full; at 500 and under nothing is sent again (gRFC A6).";
        page.gauge("plaza_channel_retry_tokens", help, &labels, self.tokens);
        let Some(SeenPool { endpoints, waiting, counts }) = &self.pool else { return };
        for (state, count) in endpoints {
            let labels = [("service", service), ("grpc_target", self.callee), ("state", state)];
            let help = "Endpoints by state; ejected ones are connected, and left for failing too many calls.";
            page.gauge("plaza_channel_endpoints", help, &labels, *count as f64);
        }
        page.gauge("plaza_channel_picks_waiting", "Calls that wait for a connection.", &labels, *waiting as f64);
        for Count { name, help, label, count } in counts {
            let labels: Vec<_> = labels.into_iter().chain(*label).collect();
            page.counter(name, help, &labels, *count as f64);
        }
    }
}

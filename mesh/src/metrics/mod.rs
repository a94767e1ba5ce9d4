//! What a process counts and times, as a page that Prometheus reads. Names of calls are OpenTelemetry's.
//!
//! Nothing is global: a router counts what it answers, a [`ClientMetrics`] what its service asks of others, and the admin
//! port gathers both when it is asked. Counting takes no lock and, after a method's first answer with a code, no memory.

mod calls;
mod gauges;
mod page;
mod process;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use calls::{Calls, OTHER, Sent, Side, Timed};
pub use gauges::Gauge;
pub(crate) use gauges::Gauges;
pub(crate) use page::Page;
pub(crate) use process::process;

use crate::policy::Contracts;

/// What one service asks of others. Hand one to all its channels; clones are one.
#[derive(Clone)]
pub struct ClientMetrics(Arc<Calls>);

impl Default for ClientMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientMetrics {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Arc::new(Calls::new(Side::Client, Contracts::plaza().paths())))
    }

    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.0
    }
}

impl std::fmt::Debug for ClientMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientMetrics")
    }
}

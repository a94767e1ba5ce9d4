//! What a process counts and times, as a page that Prometheus reads, and told to a collector. Names of calls are OpenTelemetry's.
//!
//! Nothing is global: a router counts what it answers, a [`ClientMetrics`] what its service asks of others, and the admin
//! port gathers both when somebody asks. Counting takes no lock and, after a method's first answer with a code, no memory.

mod calls;
mod channels;
mod opentelemetry;
mod page;
mod process;
mod samples;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use calls::{Calls, OTHER, Sent, Side, Timed};
pub(crate) use channels::{Counts, Seen, SeenPool};
pub(crate) use opentelemetry::Teller;
pub(crate) use page::Page;
pub(crate) use process::process;
pub use samples::Sample;
pub(crate) use samples::Samples;

use crate::policy::Contracts;

/// What one service asks of others. Hand one to all its channels; clones are one.
#[derive(Clone)]
pub struct ClientMetrics(Arc<Client>);

struct Client {
    calls: Arc<Calls>,
    channels: Mutex<Vec<Look>>,
}

/// Looks at a channel, as long as there is one.
type Look = Box<dyn Fn() -> Option<Seen> + Send + Sync>;

impl Default for ClientMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientMetrics {
    /// Nothing yet.
    pub fn new() -> Self {
        let calls = Arc::new(Calls::new(Side::Client, Contracts::plaza().paths()));
        Self(Arc::new(Client { calls, channels: Mutex::default() }))
    }

    pub(crate) fn calls(&self) -> &Arc<Calls> {
        &self.0.calls
    }

    /// Adds a channel to be looked at whenever somebody asks.
    pub(crate) fn watch(&self, look: impl Fn() -> Option<Seen> + Send + Sync + 'static) {
        self.0.channels.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// Writes all of it, as what `service` asks of others.
    pub(crate) fn write(&self, service: &str, page: &mut Page) {
        self.0.calls.write(service, page);
        // By callee: two lines of one name and one set of labels spoil a page.
        let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|look| {
            let Some(one) = look() else { return false };
            match seen.entry(one.callee) {
                Entry::Vacant(first) => drop(first.insert(one)),
                Entry::Occupied(mut others) => others.get_mut().join(one),
            }
            true
        });
        seen.values().for_each(|one| one.write(service, page));
    }
}

impl std::fmt::Debug for ClientMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientMetrics")
    }
}

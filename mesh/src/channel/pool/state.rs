//! What is known of the endpoints: which there are, and in which state each of them is.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::Instant;
use tonic::Status;

use super::{
    Task,
    connection::Connection,
    outlier::{Ejection, Tally},
    view::View,
};

/// All endpoints.
#[derive(Default)]
pub(super) struct State {
    pub(super) endpoints: Vec<Endpoint>,
    /// Why the name gave no address, if it gave none yet.
    pub(super) unresolved: Option<Status>,
}

pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) tally: Arc<Tally>,
    pub(super) phase: Phase,
    pub(super) ejection: Ejection,
    pub(super) _task: Task,
}

/// Where an endpoint is (grpc/grpc doc/connectivity-semantics-and-api.md; IDLE does not occur).
pub(super) enum Phase {
    Connecting,
    Ready(Arc<Connection>),
    /// Until it is READY again, whatever is tried meanwhile.
    Failed(Status),
}

impl State {
    pub(super) fn view(&self) -> View {
        let ready = |out: bool| {
            let of = self.endpoints.iter().filter(move |endpoint| endpoint.ejection.is_out() == out);
            of.filter_map(|endpoint| endpoint.ready().cloned()).collect()
        };
        View { trusted: ready(false), ejected: ready(true), hopeless: self.hopeless() }
    }

    /// Why waiting is of no use, unless an endpoint is READY or on its way there.
    fn hopeless(&self) -> Option<Status> {
        let mut last = self.unresolved.as_ref();
        for endpoint in &self.endpoints {
            match &endpoint.phase {
                Phase::Failed(status) => last = Some(status),
                Phase::Connecting | Phase::Ready(_) => return None,
            }
        }
        last.cloned()
    }

    pub(super) fn find(&mut self, address: SocketAddr) -> Option<&mut Endpoint> {
        self.endpoints.iter_mut().find(|endpoint| endpoint.address == address)
    }

    /// Ejects an endpoint, unless too few would be left: at most half may be out, and one of those left is READY.
    pub(super) fn eject(&mut self, address: SocketAddr, now: Instant) -> bool {
        let out = self.endpoints.iter().filter(|endpoint| endpoint.ejection.is_out()).count();
        let another = self
            .endpoints
            .iter()
            .any(|endpoint| endpoint.address != address && !endpoint.ejection.is_out() && endpoint.ready().is_some());
        let may = another && out < self.endpoints.len() / 2;
        match self.find(address) {
            Some(endpoint) if may && !endpoint.ejection.is_out() => {
                endpoint.ejection.eject(now);
                true
            }
            _ => false,
        }
    }

    /// Ends ejections that have lasted, and ejects those that fail too large a part of their calls.
    /// Returns how many.
    pub(super) fn judge(&mut self, now: Instant) -> u64 {
        let failing =
            |endpoint: &mut Endpoint| endpoint.ejection.judge(&endpoint.tally, now).then_some(endpoint.address);
        let failing: Vec<_> = self.endpoints.iter_mut().filter_map(failing).collect();
        failing.into_iter().map(|address| u64::from(self.eject(address, now))).sum()
    }
}

/// What the states of endpoints are called.
pub(super) const STATES: [&str; 4] = ["ready", "connecting", "failed", "ejected"];

impl Endpoint {
    /// One of [`STATES`].
    pub(super) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Ready(_) if self.ejection.is_out() => "ejected",
            Phase::Ready(_) => "ready",
            Phase::Connecting => "connecting",
            Phase::Failed(_) => "failed",
        }
    }

    fn ready(&self) -> Option<&Arc<Connection>> {
        match &self.phase {
            Phase::Ready(connection) => Some(connection),
            Phase::Connecting | Phase::Failed(_) => None,
        }
    }
}

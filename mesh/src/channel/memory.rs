//! The transport without a socket: the router itself.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tonic::{Status, body::Body};

use super::{Channel, ChannelOptions, attempt::Transport, faults::Faults};
use crate::{access::Known, failure::Failure, server::Router};

/// The services of one process by name, each there or not: what DNS and sockets are between processes. Services may be
/// published in any order, withdrawn, and published again; a call to one that is not there is UNAVAILABLE. Clones are one.
#[derive(Clone, Default)]
pub struct Local {
    routers: Arc<RwLock<HashMap<&'static str, Router>>>,
    faults: Faults,
}

impl Local {
    /// A process without services.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same services, and what is to go wrong on this way to them: for tests.
    pub fn with_faults(&self, faults: Faults) -> Self {
        Self { routers: Arc::clone(&self.routers), faults }
    }

    /// From now on `name` is `router`, whatever it was before.
    pub fn publish(&self, name: &'static str, router: Router) {
        self.routers.write().unwrap_or_else(PoisonError::into_inner).insert(name, router);
    }

    /// From now on `name` is not there. Calls under way go on.
    pub fn withdraw(&self, name: &str) {
        self.routers.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Calls whatever `callee` is at the time, as the service `caller`.
    pub fn channel(&self, callee: &'static str, caller: &'static str, options: ChannelOptions) -> Channel {
        let memory = Memory::new(Target::Named(self.clone(), callee), Some(caller));
        Channel::of(options.contracts, Transport::Memory(memory), options.shared())
    }

    fn find(&self, name: &str) -> Option<Router> {
        self.routers.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.routers.read().unwrap_or_else(PoisonError::into_inner).keys()).finish()
    }
}

/// What is called.
pub(super) enum Target {
    Router(Router),
    Named(Local, &'static str),
}

pub(super) struct Memory {
    target: Target,
    caller: Option<Known>,
}

impl Memory {
    pub(super) fn new(target: Target, caller: Option<&'static str>) -> Self {
        Self { target, caller: caller.map(|name| Known::Peer(name.into())) }
    }

    pub(super) fn callee(&self) -> &'static str {
        match &self.target {
            Target::Router(router) => router.name(),
            Target::Named(_, name) => name,
        }
    }

    /// Extensions cross no wire, in either direction.
    pub(super) async fn send(&self, mut request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        request.extensions_mut().clear();
        if let Some(caller) = self.caller.clone() {
            request.extensions_mut().insert(caller);
        }
        let mut response = match &self.target {
            Target::Router(router) => router.handle(request).await,
            Target::Named(local, name) => {
                let router = local.find(name).ok_or_else(|| Failure::unreachable(format!("{name} is not there")))?;
                local.faults.handle(&router, request).await?
            }
        };
        response.extensions_mut().clear();
        Ok(response)
    }
}

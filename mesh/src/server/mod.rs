//! The callee's side. Outermost first: policy (unknown method: UNIMPLEMENTED), request log, admission, trace, deadline, panic guard, access,
//! message limit, routes. The deadline encloses what comes after it, access included, because access may fetch a key.

mod activity;
mod admission;
mod bind;
mod body;
mod check;
mod config;
mod connection;
mod gate;
mod guard;
mod health;
mod limit;
mod line;
#[cfg(test)]
mod overload_tests;
mod record;
mod reflection;
mod router;
mod serve;
#[cfg(test)]
mod serve_tests;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use tonic::{body::Body, server::NamedService};
use tower::{Service, util::BoxCloneSyncService};

pub(crate) use activity::Activity;
pub use bind::{BindError, bind};
pub(crate) use check::Check;
pub use config::Limits;
pub(crate) use line::Line;
pub use router::Router;
pub use serve::Port;

use crate::{
    clock::Random,
    metrics::{Sample, Samples},
    policy::Contracts,
    proxies::Proxies,
    shutdown::Shutdown,
    token::Verifier,
    trace::Tracer,
};

type Route = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// What a server needs from its surroundings.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Believes the tokens of callers.
    pub verifier: Arc<Verifier>,
    /// The bounds of what it takes on.
    pub limits: Limits,
    /// Makes the spans of its calls.
    pub tracer: Tracer,
    /// Spreads the ends of its connections.
    pub random: Random,
}

/// Why a server was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The service stands in no contract, so nobody may call it.
    #[error("no contract names a method of {0}")]
    Unknown(&'static str),
    /// The service was added twice.
    #[error("{0} was added twice")]
    Twice(&'static str),
}

/// Gathers generated servers into a [`Router`].
pub struct Server {
    name: &'static str,
    stack: Stack,
    contracts: Contracts,
    added: Vec<(&'static str, Route)>,
    checks: Vec<Check>,
    samples: Vec<Samples>,
    proxies: Proxies,
}

impl Server {
    /// A server without methods, for the service `name` (`sso`): the audience of the tokens its peers show.
    pub fn new(name: &'static str, stack: Stack) -> Self {
        Self {
            name,
            stack,
            contracts: Contracts::plaza(),
            added: Vec::new(),
            checks: Vec::new(),
            samples: Vec::new(),
            proxies: Proxies::default(),
        }
    }

    /// The same on other contracts than Plaza's.
    #[must_use]
    pub fn with_contracts(self, contracts: Contracts) -> Self {
        Self { contracts, ..self }
    }

    /// Has these believed when they say where a call comes from: [`crate::access::client_address`].
    #[must_use]
    pub fn behind(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Adds a generated server. Reflection lists it and health reports it by this alone.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the word for it; no sum is meant")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        self.added.push((S::NAME, BoxCloneSyncService::new(service)));
        self
    }

    /// Adds something that must hold for the service to be ready (`database`). It is asked for when somebody asks whether the process is
    /// ready, has less than a second, and is told of in the log when it ceases to hold.
    #[must_use]
    pub fn check<F, R, E>(mut self, name: &'static str, holds: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.checks.push(Check::new(name, holds));
        self
    }

    /// Adds samples that are read when somebody asks for the metrics of the process, within a second; late ones are left out.
    #[must_use]
    pub fn samples<F, R>(mut self, read: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Sample>> + Send + 'static,
    {
        self.samples.push(Samples::new(read));
        self
    }

    /// The router of all that was added, with health and reflection.
    ///
    /// # Errors
    /// A service without a contract, a service added twice.
    pub fn build(self) -> Result<Router, BuildError> {
        let names: Vec<_> = self.added.iter().map(|(name, _)| *name).collect();
        if let Some(unknown) = names.iter().find(|name| !self.contracts.know(name)) {
            return Err(BuildError::Unknown(unknown));
        }
        let stopping = Shutdown::manual();
        let health = health::server(&names, stopping.clone());
        let v1 = reflection::v1(self.contracts, names.clone());
        let v1alpha = reflection::v1alpha(self.contracts, names);
        let mut whole = self.add(health).add(v1).add(v1alpha);
        let mut routes = HashMap::new();
        for (name, route) in std::mem::take(&mut whole.added) {
            if routes.insert(name, route).is_some() {
                return Err(BuildError::Twice(name));
            }
        }
        Ok(Router::new(whole, routes, stopping))
    }
}

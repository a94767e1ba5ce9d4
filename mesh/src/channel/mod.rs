//! The caller's side, under any generated client. Outermost first: call metrics and span, deadline (connect and body included), retry, attempt,
//! error normaliser, and the pool of connections or, in memory, the router itself.

mod attempt;
mod body;
mod error;
mod faults;
mod identity;
mod memory;
#[cfg(test)]
mod negative_tests;
mod network;
mod pool;
mod record;
mod replay;
mod retry;
#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod situations;
mod socket;
#[cfg(test)]
mod tests;
mod throttle;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use proto::MethodPolicy;
use tokio::time::timeout_at;
use tonic::{Status, body::Body};
use tower::Service;

pub use faults::{Fate, Faults};
pub use identity::PeerIdentity;
pub use memory::Local;
pub use network::Network;

use crate::{
    clock::Random,
    deadline::{self, Deadline},
    failure::Failure,
    metrics::{ClientMetrics, OTHER, Seen},
    policy::{Contracts, DEFAULT_DEADLINE},
    server::Router,
    tls::Tls,
    trace::Tracer,
    wire,
};
use attempt::{Journey, Transport};
use body::Received;
use record::Record;
use throttle::Throttle;

/// With less time left than this, a call is not sent: no callee answers so soon, but it may act on what nobody waits for.
const RESERVE: Duration = Duration::from_millis(1);

/// How a channel behaves.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// How long one connection may take to be made: TCP, TLS and the callee's first word. 1 s.
    pub connect_timeout: Duration,
    /// How often a connection with calls on it is asked whether its callee is still there, and how long that may take to
    /// answer. Without it, a callee that vanishes without a word costs every call its whole deadline. 10 s and 5 s.
    pub keepalive: (Duration, Duration),
    /// Whether calls wait for a connection as long as their deadline allows, although it could not be made; otherwise they fail
    /// at once. While connections are made for the first time, or again after a loss, all calls wait. No.
    pub wait_for_ready: bool,
    /// How names are resolved and connections made. The operating system's.
    pub network: Network,
    /// The caller's certificate and its roots, which an `https` URI wants. None.
    pub tls: Option<Tls>,
    /// Where jitter and the choice among endpoints come from.
    pub random: Random,
    /// Where calls are counted: one for all channels of a service.
    pub metrics: ClientMetrics,
    /// What the callee's methods promise. Plaza's.
    pub contracts: Contracts,
    /// Makes the spans of calls. None.
    pub tracer: Tracer,
}

impl ChannelOptions {
    /// What a channel over any transport takes.
    fn shared(&self) -> Shared {
        let Self { random, metrics, tracer, .. } = self;
        Shared { random: random.clone(), metrics: metrics.clone(), tracer: tracer.clone() }
    }
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            keepalive: (Duration::from_secs(10), Duration::from_secs(5)),
            wait_for_ready: false,
            network: Network::system(),
            tls: None,
            random: Random::system(),
            metrics: ClientMetrics::new(),
            contracts: Contracts::plaza(),
            tracer: Tracer::off(),
        }
    }
}

/// Calls one service. Clones share its connections and its retry budget.
#[derive(Clone)]
pub struct Channel(Arc<Inner>);

struct Inner {
    contracts: Contracts,
    transport: Transport,
    throttle: Throttle,
    shared: Shared,
}

/// What channels over any transport have.
struct Shared {
    random: Random,
    metrics: ClientMetrics,
    tracer: Tracer,
}

impl Channel {
    /// Calls `router` without a socket, as the service `caller`. All layers of both sides are there; HTTP/2 is not.
    pub fn memory(router: Router, caller: &'static str) -> Self {
        Self::in_memory(router, Some(caller), ChannelOptions::default())
    }

    /// Calls `router` without a socket, as nobody: what a client outside the mesh is.
    pub fn anonymous(router: Router) -> Self {
        Self::in_memory(router, None, ChannelOptions::default())
    }

    /// As [`Channel::memory`] or [`Channel::anonymous`], with options: a seeded simulation hands in its [`Random`].
    pub fn in_memory(router: Router, caller: Option<&'static str>, options: ChannelOptions) -> Self {
        let (contracts, shared) = (router.contracts(), options.shared());
        Self::of(contracts, Transport::memory(router, caller), shared)
    }

    /// Calls the service `callee` (`sms`) at `uri` (`http://host:port`) with a peer token of `caller`, or (`https://host:port`)
    /// with the certificate in [`ChannelOptions::tls`], where the callee has to prove that it is `callee`. The host may have many addresses (a
    /// headless service): calls go to the one of two with fewer calls on it. Never fails: it connects to all when it is first called, and again
    /// after each loss.
    pub fn connect(callee: &'static str, uri: &str, caller: PeerIdentity, options: ChannelOptions) -> Self {
        let (contracts, shared) = (options.contracts, options.shared());
        Self::of(contracts, Transport::socket(callee, uri, caller, options), shared)
    }

    fn of(contracts: Contracts, transport: Transport, shared: Shared) -> Self {
        let inner = Arc::new(Inner { contracts, transport, throttle: Throttle::default(), shared });
        let seen = Arc::downgrade(&inner);
        inner.shared.metrics.watch(move || seen.upgrade().map(|inner| inner.seen()));
        Self(inner)
    }

    /// Where its jitter comes from, for whoever calls again by itself.
    pub(crate) fn random(&self) -> &Random {
        &self.0.shared.random
    }
}

impl Inner {
    fn seen(&self) -> Seen {
        Seen { callee: self.transport.callee(), tokens: self.throttle.tokens(), pool: self.transport.seen() }
    }

    async fn call(self: &Arc<Self>, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let policy = self.contracts.find(request.uri().path());
        let named = policy.map_or(OTHER, |policy| policy.path);
        let allowed = policy.map_or(DEFAULT_DEADLINE, |policy| policy.deadline);
        let deadline = smallest(allowed, wire::timeout(request.headers()));
        let mut record = Record::begin(&self.shared, named, self.transport.callee());
        match self.answer(request, policy, &Journey::new(deadline, allowed), &mut record).await {
            Err(status) => {
                record.end(status.code());
                Err(status)
            }
            Ok(response) => {
                if let Some(code) = wire::code(response.headers()) {
                    record.end(code);
                }
                Ok(response.map(|body| Body::new(Received::new(body, deadline, Arc::clone(self), record))))
            }
        }
    }

    async fn answer(
        &self,
        request: http::Request<Body>,
        policy: Option<&MethodPolicy>,
        journey: &Journey,
        record: &mut Record,
    ) -> Result<http::Response<Body>, Status> {
        if !has_time(journey.deadline) {
            return Err(Failure::late().into());
        }
        let streams = policy.is_none_or(|policy| policy.client_streaming);
        let repeatable = policy.is_some_and(|policy| policy.repeatable && !policy.server_streaming);
        let answer = async {
            match streams {
                true => retry::once(self, request, journey, record).await,
                false => retry::call(self, request, repeatable, journey, record).await,
            }
        };
        timeout_at(journey.deadline.instant(), answer).await.map_err(|_| Failure::late())?
    }
}

/// The smallest of what the policy allows, what the caller asks for and what the call being handled has left.
fn smallest(allowed: Duration, asked: Option<Duration>) -> Deadline {
    let own = Deadline::after(asked.unwrap_or(allowed).min(allowed));
    deadline::current().map_or(own, |inherited| inherited.min(own))
}

/// Whether there is time for another request.
fn has_time(deadline: Deadline) -> bool {
    deadline.left() >= RESERVE
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.call(request).await })
    }
}

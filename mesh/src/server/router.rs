//! A call's way through a server.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use proto::MethodPolicy;
use tokio::{sync::oneshot, time::timeout_at};
use tonic::{Code, Status, body::Body};
use tower::Service;

use super::{
    Check, Limits, Route, Server, Stack,
    activity::{Active, Activity},
    admission::Admission,
    body::{self, Answer, Ends},
    gate::Gate,
    guard::guarded,
    limit::Limited,
    record::Record,
};
use crate::{
    access::{ClientAddress, Known},
    clock::Draws,
    deadline,
    deadline::Deadline,
    failure::Failure,
    metrics::{Calls, Page, Samples, Side},
    policy::{Access, Contracts},
    proxies::Proxies,
    shutdown::Shutdown,
    tls::Tls,
    trace::{self, Context as TraceContext, Traced, Tracer},
    wire,
};

/// A whole server: a tower service to be called in memory, or served over a socket. Clones are one.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    gate: Gate,
    limits: Limits,
    contracts: Contracts,
    methods: HashMap<&'static str, (&'static MethodPolicy, Route)>,
    stopping: Shutdown,
    admission: Arc<Admission>,
    draws: Draws,
    tracer: Tracer,
    observed: Observed,
    proxies: Proxies,
    /// What it is served with, once it is.
    tls: OnceLock<Tls>,
}

/// What the admin port tells of a service.
struct Observed {
    name: &'static str,
    checks: Vec<Check>,
    samples: Vec<Samples>,
    calls: Arc<Calls>,
}

impl Router {
    /// What `server` gathered, by the names of its `routes`. It drains once `stopping` begins.
    pub(super) fn new(server: Server, routes: HashMap<&'static str, Route>, stopping: Shutdown) -> Self {
        let Server {
            name, stack: Stack { verifier, limits, tracer, random }, contracts, checks, samples, proxies, ..
        } = server;
        let gate = Gate::new(name, verifier);
        let served = |path| {
            let (policy, route) = (contracts.find(path)?, routes.get(service(path)?)?);
            Some((path, (policy, route.clone())))
        };
        let methods: HashMap<_, _> = contracts.paths().filter_map(served).collect();
        let calls = Arc::new(Calls::new(Side::Server, methods.keys().copied()));
        let (admission, draws) = (Arc::new(Admission::new(limits.calls, limits.streams)), Draws::new(&random));
        let observed = Observed { name, checks, samples, calls };
        Self(Arc::new(Inner {
            gate,
            limits,
            contracts,
            methods,
            stopping,
            admission,
            draws,
            tracer,
            observed,
            proxies,
            tls: OnceLock::new(),
        }))
    }

    /// The name of the service in the mesh.
    pub fn name(&self) -> &'static str {
        self.0.observed.name
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.0.observed.checks
    }

    /// Writes what was counted, and what the service says of itself.
    pub(crate) async fn observe(&self, page: &mut Page) {
        self.0.observed.calls.write(self.0.observed.name, page);
        for samples in &self.0.observed.samples {
            samples.write(page).await;
        }
        if let Some(end) = self.0.tls.get().and_then(|tls| tls.end().duration_since(SystemTime::UNIX_EPOCH).ok()) {
            let help = "When the certificate in use ends, ten years after it was read at the latest.";
            let labels = [("service", self.name())];
            page.gauge("plaza_certificate_end_timestamp_seconds", help, &labels, end.as_secs_f64());
        }
    }

    /// Notes what connections are served with from now on.
    pub(super) fn secured_by(&self, tls: &Tls) {
        self.0.tls.get_or_init(|| tls.clone());
    }

    /// Whether the method at `path` is this server's, and for anyone or for persons: no peer's, no operator's, not health or reflection.
    pub(crate) fn is_for_persons(&self, path: &str) -> bool {
        let open = |policy: &MethodPolicy| matches!(policy.access, Access::Public | Access::Bearer);
        !path.starts_with("/grpc.") && self.0.methods.get(path).is_some_and(|(policy, _)| open(policy))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Thrown when this server drains: probes are told NOT_SERVING, and streams end.
    pub(super) fn stopping(&self) -> &Shutdown {
        &self.0.stopping
    }

    /// How long the next connection lives: [`Limits::age`] ±10 % (gRFC A9), so that those made together do not end together, neither here nor at
    /// other replicas.
    pub(crate) fn age(&self) -> Duration {
        let permille = 900 + (self.0.draws.next() % 201) as u32;
        self.0.limits.age * permille / 1000
    }

    pub(crate) fn contracts(&self) -> Contracts {
        self.0.contracts
    }

    /// Answers one call. Never fails: whatever goes wrong is in the answer.
    pub(crate) async fn handle(&self, mut request: http::Request<Body>) -> http::Response<Body> {
        let Some((policy, route)) = self.0.methods.get(request.uri().path()) else {
            let _record = Record::begin("unknown", &self.0.observed.calls).ended(Code::Unimplemented);
            return Status::unimplemented("no such method").into_http();
        };
        let mut record = Record::begin(policy.path, &self.0.observed.calls);
        let connection = request.extensions_mut().remove::<Activity>();
        let others = connection.as_ref().map_or(0, Activity::calls);
        let is_peer = || self.0.gate.is_peer(request.headers(), request.extensions().get());
        let admitted = match self.0.admission.admit(policy, others, is_peer) {
            Ok(admitted) => admitted,
            Err(status) => {
                record.end(status.code());
                return status.into_http();
            }
        };
        record.trace(self.0.traced(policy, &request));
        let time = wire::timeout(request.headers()).unwrap_or(policy.deadline).min(policy.deadline);
        let deadline = Deadline::after(time);
        let active = connection.map(|connection| connection.begin(deadline));
        // Only a call that may outlast its connection has to look out for that.
        let ending =
            active.as_ref().filter(|_| time > self.0.limits.grace.min(self.0.limits.drain)).map(Active::ending);
        let (answering, over) = policy.client_streaming.then(oneshot::channel).unzip();
        let request = request.map(|body| Body::new(Limited::new(body, over, self.0.limits.message_bytes)));
        let place = record.traced().map(|traced| traced.current().clone());
        let answer = trace::within(place, self.0.answer(policy, route.clone(), deadline, ending.clone(), request));
        let (answered, admitted) = admitted.answering(answer).await;
        let response = match answered {
            Ok(response) => response,
            Err(status) => status.into_http(),
        };
        let (mut head, body) = response.into_parts();
        wire::bound(&mut head.headers);
        if let Some(code) = wire::code(&head.headers) {
            record.end(code);
            return http::Response::from_parts(head, body);
        }
        let stopping = (!policy.path.starts_with("/grpc.health.")).then(|| self.0.stopping.clone());
        let ends = policy.server_streaming.then_some(Ends { stopping, ending });
        let held = (admitted, active, answering);
        http::Response::from_parts(head, Body::new(Answer::new(body, deadline, record, ends, held)))
    }
}

impl Inner {
    /// The call in its trace: its caller's, if the caller is to be believed. Probes are in none.
    fn traced(&self, policy: &MethodPolicy, request: &http::Request<Body>) -> Option<Traced> {
        if !self.tracer.is_on() || policy.path.starts_with("/grpc.") {
            return None;
        }
        let (headers, known) = (request.headers(), request.extensions().get::<Known>());
        let believed = |_: &TraceContext| self.tracer.believes_outsiders() || self.gate.is_peer(headers, known);
        self.tracer.served(policy.path, TraceContext::read(headers).filter(believed))
    }

    /// The handler's answer within the deadline, unless its connection ends before. The handler is dropped when either is over.
    async fn answer(
        &self,
        policy: &'static MethodPolicy,
        route: Route,
        deadline: Deadline,
        ending: Option<Shutdown>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Status> {
        // A timer lets what it guards run once before it looks at the time.
        if deadline.passed() {
            return Err(Failure::late().into());
        }
        // A future within a future is moved whenever that is, until it is polled: what the handler needs is put away first.
        let handling = Box::pin(self.dispatch(policy, route, request));
        let handled = deadline::within(deadline, guarded(handling));
        tokio::select! {
            handled = timeout_at(deadline.instant(), handled) => match handled {
                Ok(handled) => handled.flatten(),
                Err(_) => Err(Failure::late().into()),
            },
            () = Shutdown::any_begun(ending) => Err(body::outlasted().into()),
        }
    }

    /// Hands the call to its route, if its caller may make it.
    async fn dispatch(
        &self,
        policy: &'static MethodPolicy,
        mut route: Route,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Status> {
        let (known, from) = (request.extensions().get(), request.extensions().get().copied());
        let caller = self.gate.caller(policy, request.headers(), known, from).await?;
        request.extensions_mut().insert(caller);
        if let Some(ClientAddress(peer)) = from {
            let client = self.proxies.client(peer, request.headers());
            request.extensions_mut().insert(ClientAddress(client));
        }
        // Generated servers are always ready.
        route.call(request).await.map_err(|never| match never {})
    }
}

/// `package.Service` of `/package.Service/Method`.
fn service(path: &str) -> Option<&str> {
    Some(path.strip_prefix('/')?.split_once('/')?.0)
}

impl Service<http::Request<Body>> for Router {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let router = self.clone();
        Box::pin(async move { Ok(router.handle(request).await) })
    }
}

//! One attempt of a call.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, header::USER_AGENT};
use tokio::time::Instant;
use tonic::{Code, body::Body};

use super::{
    ChannelOptions,
    error::{Loss, Progress},
    has_time,
    identity::{Minter, PeerIdentity},
    memory::{Memory, Target},
    pool::{Patience, Pool},
    record::AttemptSpan,
};
use crate::{deadline::Deadline, failure::Failure, metrics::SeenPool, server::Router, wire};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("plaza-mesh/", env!("CARGO_PKG_VERSION")));

/// What the attempts of a call share. Two of them may be under way at once.
pub(super) struct Journey {
    pub(super) deadline: Deadline,
    /// An attempt that is given less time than this says nothing of an endpoint that does not answer it: how little that is, somebody
    /// outside the mesh may have chosen.
    fair: Duration,
    /// The endpoints that attempts went to.
    tried: Mutex<Vec<SocketAddr>>,
}

impl Journey {
    /// Of a call that may take the time that is `allowed` by its policy. A third of it is fair: the first attempt of a repeatable call
    /// has half before another is made beside it.
    pub(super) fn new(deadline: Deadline, allowed: Duration) -> Self {
        Self { deadline, fair: allowed / 3, tried: Mutex::default() }
    }

    fn tried(&self) -> Vec<SocketAddr> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One attempt of a call.
pub(super) struct Attempt<'a> {
    pub(super) journey: &'a Journey,
    /// From when on its endpoint is to blame for having been silent, if before the deadline.
    pub(super) due: Option<Instant>,
    pub(super) span: AttemptSpan,
}

impl Attempt<'_> {
    /// Noted before the request is sent: an attempt may be given up at any time.
    fn goes_to(&mut self, endpoint: SocketAddr) {
        self.journey.tried.lock().unwrap_or_else(PoisonError::into_inner).push(endpoint);
        self.span.goes_to(endpoint);
    }

    /// How the attempt ended, if it did: others end with their bodies.
    fn note(&mut self, outcome: &Result<http::Response<Body>, Loss>) {
        let code = match outcome {
            Err(loss) => Some(loss.status.code()),
            Ok(response) => wire::code(response.headers()),
        };
        if let Some(code) = code {
            self.span.end(code);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.journey.deadline.passed() {
            self.span.end(Code::DeadlineExceeded);
        }
    }
}

/// What carries an attempt to the callee.
#[expect(clippy::large_enum_variant, reason = "there is one to a channel, behind its Arc")]
pub(super) enum Transport {
    Memory(Memory),
    Socket(Pool, Minter),
}

impl Transport {
    pub(super) fn memory(router: Router, caller: Option<&'static str>) -> Self {
        Self::Memory(Memory::new(Target::Router(router), caller))
    }

    pub(super) fn socket(callee: &'static str, uri: &str, caller: PeerIdentity, options: ChannelOptions) -> Self {
        Self::Socket(Pool::new(callee, uri, options), Minter::new(caller, callee))
    }

    /// The name of the service that is called.
    pub(super) fn callee(&self) -> &'static str {
        match self {
            Self::Memory(memory) => memory.callee(),
            Self::Socket(pool, _) => pool.callee(),
        }
    }

    /// How its endpoints are, if it has any.
    pub(super) fn seen(&self) -> Option<SeenPool> {
        match self {
            Self::Memory(_) => None,
            Self::Socket(pool, _) => Some(pool.seen()),
        }
    }

    /// Whether another endpoint could be asked if the next one does not answer.
    pub(super) fn has_choice(&self, journey: &Journey) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Socket(pool, _) => pool.has_choice(&journey.tried()),
        }
    }

    /// Sends the request with the time that is left.
    ///
    /// # Errors
    /// What the normaliser makes of a loss; an answer that is a failure is a response.
    pub(super) async fn attempt(
        &self,
        mut request: http::Request<Body>,
        attempt: &mut Attempt<'_>,
    ) -> Result<http::Response<Body>, Loss> {
        request.headers_mut().insert(USER_AGENT, AGENT);
        let outcome = match self {
            Self::Memory(memory) => {
                request.headers_mut().insert(&wire::TIMEOUT, wire::timeout_value(attempt.journey.deadline.left()));
                memory.send(request).await.map_err(Loss::from)
            }
            Self::Socket(pool, minter) => send(pool, minter, request, attempt).await,
        };
        attempt.note(&outcome);
        outcome
    }
}

/// Waits for a place at an endpoint, and sends the request with the time that is left then.
async fn send(
    pool: &Pool,
    minter: &Minter,
    mut request: http::Request<Body>,
    attempt: &mut Attempt<'_>,
) -> Result<http::Response<Body>, Loss> {
    let ticket = pool.pick(&attempt.journey.tried()).await?;
    if !has_time(attempt.journey.deadline) {
        return Err(Loss { status: Failure::late().into(), progress: Progress::NotConnected });
    }
    attempt.goes_to(ticket.address());
    let headers = request.headers_mut();
    headers.insert(&wire::TIMEOUT, wire::timeout_value(attempt.journey.deadline.left()));
    // A certificate says it better.
    if !pool.is_secure()
        && let Some(token) = minter.token()
    {
        headers.insert(&wire::PEER, token);
    }
    let Journey { deadline, fair, .. } = attempt.journey;
    ticket.send(request, Patience { due: attempt.due.unwrap_or(deadline.instant()), fair: *fair }).await
}

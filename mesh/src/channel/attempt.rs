//! One attempt of a call.

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderValue, header::USER_AGENT};
use tokio::time::Instant;
use tonic::body::Body;

use super::{
    ChannelOptions,
    error::{Loss, Progress},
    has_time,
    identity::{Minter, PeerIdentity},
    memory::{Memory, Target},
    pool::{Patience, Pool},
    record::Record,
};
use crate::{
    deadline::Deadline,
    failure::Failure,
    metrics::{SeenPool, Sent},
    server::Router,
    wire,
};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("plaza-mesh/", env!("CARGO_PKG_VERSION")));

/// What a call has behind it.
pub(super) struct Journey {
    /// Attempts that count.
    pub(super) attempts: u32,
    /// Those of them that left.
    pub(super) previous: u32,
    /// The endpoints it went to.
    pub(super) tried: Vec<SocketAddr>,
    /// When this attempt is given up for another, if before the deadline.
    pub(super) due: Option<Instant>,
    /// An attempt that is given less time than this says nothing of an endpoint that does not answer it: how little that is, somebody
    /// outside the mesh may have chosen.
    pub(super) fair: Duration,
    /// Why the next request is sent.
    pub(super) why: Sent,
    pub(super) record: Record,
}

impl Journey {
    /// Of a call that may take the time that is `allowed` by its policy. A third of it is fair: the first attempt of a repeatable call
    /// has half.
    pub(super) fn new(record: Record, allowed: Duration) -> Self {
        Self { attempts: 0, previous: 0, tried: Vec::new(), due: None, fair: allowed / 3, why: Sent::First, record }
    }

    /// An attempt begins: says who calls, how often before, and in which span.
    fn begin(&mut self, headers: &mut HeaderMap) {
        headers.insert(USER_AGENT, AGENT);
        if self.previous > 0 {
            headers.insert(&wire::PREVIOUS_ATTEMPTS, HeaderValue::from(self.previous));
        }
        self.record.sent(self.why, self.previous, headers);
    }

    /// Noted before the request is sent: an attempt may be given up at any time.
    fn goes_to(&mut self, endpoint: SocketAddr) {
        self.tried.push(endpoint);
        self.record.goes_to(endpoint);
    }

    /// How the attempt ended, if it did: others end with their bodies.
    fn note(&mut self, outcome: &Result<http::Response<Body>, Loss>) {
        let code = match outcome {
            Err(loss) => Some(loss.status.code()),
            Ok(response) => wire::code(response.headers()),
        };
        if let Some(code) = code {
            self.record.attempted(code);
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
    pub(super) fn has_choice(&self, tried: &[SocketAddr]) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Socket(pool, _) => pool.has_choice(tried),
        }
    }

    /// Sends the request, with the time that is left and the number of attempts before this one (gRFC A6).
    ///
    /// # Errors
    /// What the normaliser makes of a loss; an answer that is a failure is a response.
    pub(super) async fn attempt(
        &self,
        mut request: http::Request<Body>,
        deadline: Deadline,
        journey: &mut Journey,
    ) -> Result<http::Response<Body>, Loss> {
        journey.begin(request.headers_mut());
        let outcome = match self {
            Self::Memory(memory) => {
                request.headers_mut().insert(&wire::TIMEOUT, wire::timeout_value(deadline.left()));
                memory.send(request).await.map_err(Loss::from)
            }
            Self::Socket(pool, minter) => send(pool, minter, request, deadline, journey).await,
        };
        journey.note(&outcome);
        outcome
    }
}

/// Waits for a place at an endpoint, and sends the request with the time that is left then.
async fn send(
    pool: &Pool,
    minter: &Minter,
    mut request: http::Request<Body>,
    deadline: Deadline,
    journey: &mut Journey,
) -> Result<http::Response<Body>, Loss> {
    let ticket = pool.pick(&journey.tried).await?;
    if !has_time(deadline) {
        return Err(Loss { status: Failure::late().into(), progress: Progress::NotConnected });
    }
    journey.goes_to(ticket.address());
    let headers = request.headers_mut();
    headers.insert(&wire::TIMEOUT, wire::timeout_value(deadline.left()));
    // A certificate says it better.
    if !pool.is_secure()
        && let Some(token) = minter.token()
    {
        headers.insert(&wire::PEER, token);
    }
    ticket.send(request, Patience { due: journey.due.unwrap_or(deadline.instant()), fair: journey.fair }).await
}

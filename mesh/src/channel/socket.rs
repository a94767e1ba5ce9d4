//! The transport over TCP: one HTTP/2 connection, made when it is needed.

use std::{error::Error, sync::Arc, time::Duration};

use http::{Uri, uri::Authority};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout},
};
use tonic::{Status, body::Body};

use super::error::{Loss, answered, normalise, refused_unread};
use crate::failure::Failure;

/// How often a connection with calls on it is asked whether its peer is still there, and how long that may take to answer.
/// Without it, a peer that vanishes without a word costs every call its whole deadline.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// The pause after the first connection that failed; it doubles up to the longest. Calls meanwhile fail at once.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection to one callee.
pub(super) struct Socket {
    callee: &'static str,
    authority: Result<Authority, String>,
    connect_timeout: Duration,
    state: Arc<Mutex<State>>,
}

/// The connection, or when and why there is none.
struct State {
    sender: Option<SendRequest<Body>>,
    /// How many connections there have been.
    generation: u64,
    pause: Duration,
    failed: Option<(Instant, Status)>,
}

impl Socket {
    pub(super) fn new(callee: &'static str, uri: &str, connect_timeout: Duration) -> Self {
        let state = Arc::new(Mutex::new(State { sender: None, generation: 0, pause: FIRST_PAUSE, failed: None }));
        Self { callee, authority: authority(uri), connect_timeout, state }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// See [`normalise`].
    pub(super) async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Loss> {
        let request = self.addressed(request)?;
        let (mut sender, generation) = self.sender().await?;
        let answer = sender.try_send_request(request);
        // A request that meets the end of its connection is let go with the last sender: it must not be held by its own.
        drop(sender);
        let mut error = match answer.await {
            Ok(response) => return Ok(answered(self.callee, response.map(|body| self.body(body)))?),
            Err(error) => error,
        };
        let unseen = error.take_message().is_some() || refused_unread(error.error());
        if unseen {
            forget(&self.state, generation).await;
        }
        Err(Loss { status: normalise(self.callee, error.error()), unseen })
    }

    fn body(&self, body: hyper::body::Incoming) -> Body {
        let callee = self.callee;
        Body::new(body.map_err(move |error| normalise(callee, &error)))
    }

    /// The request with the whole URI that HTTP/2 wants.
    fn addressed(&self, mut request: http::Request<Body>) -> Result<http::Request<Body>, Status> {
        let authority = self.authority.clone().map_err(Failure::unreachable)?;
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority);
        *request.uri_mut() = Uri::from_parts(parts).map_err(Failure::internal)?;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(request)
    }

    /// The connection, made anew if it is gone. One call makes it while the others wait.
    async fn sender(&self) -> Result<(SendRequest<Body>, u64), Status> {
        let mut state = self.state.lock().await;
        if let Some(sender) = state.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), state.generation));
        }
        if let Some((until, status)) = &state.failed
            && Instant::now() < *until
        {
            return Err(status.clone());
        }
        match self.connect(state.generation + 1).await {
            Ok(sender) => {
                let generation = state.generation + 1;
                *state = State { sender: Some(sender.clone()), generation, pause: FIRST_PAUSE, failed: None };
                Ok((sender, generation))
            }
            Err(status) => {
                let pause = state.pause;
                let failed = Some((Instant::now() + pause, status.clone()));
                (state.sender, state.pause, state.failed) = (None, (pause * 2).min(LONGEST_PAUSE), failed);
                Err(status)
            }
        }
    }

    async fn connect(&self, generation: u64) -> Result<SendRequest<Body>, Status> {
        match timeout(self.connect_timeout, self.handshake(generation)).await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) => Err(normalise(self.callee, error.as_ref())),
            Err(_) => Err(Failure::unreachable(format!("{}: no connection in time", self.callee)).into()),
        }
    }

    async fn handshake(&self, generation: u64) -> Result<SendRequest<Body>, Box<dyn Error + Send + Sync>> {
        let authority = self.authority.as_ref().map_err(String::as_str)?;
        let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .max_header_list_size(16 * 1024)
            .handshake(TokioIo::new(stream))
            .await?;
        let (callee, state) = (self.callee, Arc::clone(&self.state));
        // Driven apart, so that calls on an old connection finish while a new one takes the next.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(callee, %error, "a connection ended");
            }
            forget(&state, generation).await;
        });
        Ok(sender)
    }
}

/// Leaves a connection whose callee said goodbye. It does not look closed until the calls on it are over.
async fn forget(state: &Mutex<State>, generation: u64) {
    let mut state = state.lock().await;
    if state.generation == generation {
        state.sender = None;
    }
}

fn authority(uri: &str) -> Result<Authority, String> {
    let parsed: Uri = uri.parse().map_err(|error| format!("{uri} is not a URI: {error}"))?;
    match (parsed.scheme_str(), parsed.authority()) {
        (Some("http"), Some(authority)) => Ok(authority.clone()),
        _ => Err(format!("{uri} is not of the form http://host:port")),
    }
}

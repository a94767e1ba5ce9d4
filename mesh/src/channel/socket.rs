//! The transport over TCP: one HTTP/2 connection, made when it is needed.

use std::{error::Error, time::Duration};

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

use super::error::{answered, normalise};
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
    state: Mutex<State>,
}

/// The connection, or when and why there is none.
struct State {
    sender: Option<SendRequest<Body>>,
    pause: Duration,
    failed: Option<(Instant, Status)>,
}

impl Socket {
    pub(super) fn new(callee: &'static str, uri: &str, connect_timeout: Duration) -> Self {
        let state = Mutex::new(State { sender: None, pause: FIRST_PAUSE, failed: None });
        Self { callee, authority: authority(uri), connect_timeout, state }
    }

    /// Sends a request. One that never left, because the callee had said goodbye, is sent again on a new connection.
    ///
    /// # Errors
    /// See [`normalise`].
    pub(super) async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let mut request = self.addressed(request)?;
        let mut again = true;
        loop {
            let mut sender = self.sender().await?;
            let mut error = match sender.try_send_request(request).await {
                Ok(response) => return answered(self.callee, response.map(|body| self.body(body))),
                Err(error) => error,
            };
            match error.take_message() {
                Some(unsent) if again => (request, again) = (unsent, false),
                _ => return Err(normalise(self.callee, error.error())),
            }
        }
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
    async fn sender(&self) -> Result<SendRequest<Body>, Status> {
        let mut state = self.state.lock().await;
        if let Some(sender) = state.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        if let Some((until, status)) = &state.failed
            && Instant::now() < *until
        {
            return Err(status.clone());
        }
        match self.connect().await {
            Ok(sender) => {
                *state = State { sender: Some(sender.clone()), pause: FIRST_PAUSE, failed: None };
                Ok(sender)
            }
            Err(status) => {
                let pause = state.pause;
                let failed = Some((Instant::now() + pause, status.clone()));
                *state = State { sender: None, pause: (pause * 2).min(LONGEST_PAUSE), failed };
                Err(status)
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Status> {
        match timeout(self.connect_timeout, self.handshake()).await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) => Err(normalise(self.callee, error.as_ref())),
            Err(_) => Err(Failure::unreachable(format!("{}: no connection in time", self.callee)).into()),
        }
    }

    async fn handshake(&self) -> Result<SendRequest<Body>, Box<dyn Error + Send + Sync>> {
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
        let callee = self.callee;
        // Driven apart, so that calls on an old connection finish while a new one takes the next.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(callee, %error, "a connection ended");
            }
        });
        Ok(sender)
    }
}

fn authority(uri: &str) -> Result<Authority, String> {
    let parsed: Uri = uri.parse().map_err(|error| format!("{uri} is not a URI: {error}"))?;
    match (parsed.scheme_str(), parsed.authority()) {
        (Some("http"), Some(authority)) => Ok(authority.clone()),
        _ => Err(format!("{uri} is not of the form http://host:port")),
    }
}

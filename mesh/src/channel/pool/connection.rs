//! A connection that is READY, and the calls on it.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tokio::{sync::watch, time::Instant};
use tonic::{Code, Status, body::Body};

use super::{Shared, outlier::Tally};
use crate::{
    channel::error::{Loss, Progress, answered, is_goodbye, normalise, refused_unread},
    failure::Failure,
    wire::{self, Pushback},
};

/// A connection to one endpoint.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    /// `None` once it is over. A request that meets the end may be stuck on its way to the driver, and hyper lets go of it with
    /// the last sender only: the calls, which hold their connection, must not hold that.
    sender: Mutex<Option<SendRequest<Body>>>,
    in_flight: AtomicU32,
    answered: AtomicBool,
    /// Until when its callee asks to be left alone, in milliseconds since it was made; zero if it never did.
    rests_until: AtomicU64,
    made: Instant,
    tally: Arc<Tally>,
    over: watch::Sender<bool>,
}

/// The longest rest: what a callee asks for is a wish.
const LONGEST_REST: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn new(address: SocketAddr, sender: SendRequest<Body>, tally: Arc<Tally>) -> Self {
        let (in_flight, answered, over) = (AtomicU32::new(0), AtomicBool::new(false), watch::Sender::new(false));
        let (rests_until, made) = (AtomicU64::new(0), Instant::now());
        Self { address, sender: Mutex::new(Some(sender)), in_flight, answered, rests_until, made, tally, over }
    }

    /// How many calls are on it.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether any call on it was ever answered.
    pub(super) fn was_of_use(&self) -> bool {
        self.answered.load(Relaxed)
    }

    pub(super) fn usable(&self) -> bool {
        !*self.over.borrow()
    }

    /// Whether its callee has turned a call away and asked for time.
    pub(super) fn rests(&self) -> bool {
        let until = self.rests_until.load(Relaxed);
        until > 0 && self.since_made(Duration::ZERO) < until
    }

    fn rest(&self, pause: Duration) {
        self.rests_until.fetch_max(self.since_made(pause.min(LONGEST_REST)), Relaxed);
    }

    fn since_made(&self, plus: Duration) -> u64 {
        u64::try_from((self.made.elapsed() + plus).as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes no more calls: it is lost, or its callee said goodbye. Calls under way go on.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn sender(&self) -> Option<SendRequest<Body>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for [`Connection::end`].
    pub(super) async fn ended(&self) {
        // The sender lives in self, so waiting ends with the value alone.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

/// One call on a connection: counted from here to the last byte of its answer, and judged by how it ends.
pub(in crate::channel) struct Ticket {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    patience: Option<Patience>,
    /// Since when the caller waits for the callee; `None` while it is the caller who does not read.
    waiting: Option<Instant>,
    judged: bool,
}

/// How late an answer may be before that is its endpoint's fault.
pub(in crate::channel) struct Patience {
    /// When the call is given up.
    pub(in crate::channel) due: Instant,
    /// So long the caller must have waited by then. Who waits for less says nothing of the endpoint.
    pub(in crate::channel) fair: Duration,
}

impl Ticket {
    pub(super) fn new(connection: Arc<Connection>, shared: Arc<Shared>) -> Self {
        connection.in_flight.fetch_add(1, Relaxed);
        Self { connection, shared, patience: None, waiting: None, judged: false }
    }

    /// Where the call goes.
    pub(in crate::channel) fn address(&self) -> SocketAddr {
        self.connection.address
    }

    fn judge(&mut self, code: Code) {
        let excused = code == Code::DeadlineExceeded && self.blamed_from().is_none();
        if !std::mem::replace(&mut self.judged, true) && !excused && self.connection.tally.ended(code) {
            self.shared.eject(self.connection.address);
        }
    }

    /// From when on the endpoint is to blame for what has not come. Not at all if the caller waited for too short a time, or came too late to read.
    fn blamed_from(&self) -> Option<Instant> {
        let (Patience { due, fair }, waiting) = (self.patience.as_ref()?, self.waiting?);
        (due.saturating_duration_since(waiting) >= *fair).then_some(*due)
    }

    /// Sends the request, and hands the answer on.
    ///
    /// # Errors
    /// See [`crate::channel::error::normalise`].
    pub(in crate::channel) async fn send(
        mut self,
        request: http::Request<Body>,
        patience: Patience,
    ) -> Result<http::Response<Body>, Loss> {
        let callee = self.shared.callee;
        (self.patience, self.waiting) = (Some(patience), Some(Instant::now()));
        let request = self.shared.addressed(request)?;
        let Some(mut sender) = self.connection.sender() else {
            self.judged = true;
            let status = Failure::unreachable(format!("{callee}: the connection ended")).into();
            return Err(Loss { status, progress: Progress::NeverLeft(Box::new(request)) });
        };
        let answer = sender.try_send_request(request);
        drop(sender);
        let mut error = match answer.await {
            Ok(response) => {
                self.connection.answered.store(true, Relaxed);
                // What answers otherwise than gRPC does is not the service, whatever it says.
                let response = answered(callee, response).inspect_err(|_| self.judge(Code::Unknown))?;
                if let Some(code) = wire::code(response.headers()) {
                    self.judge(code);
                    if let (Code::ResourceExhausted, Pushback::After(pause)) = (code, Pushback::of(response.headers()))
                    {
                        self.connection.rest(pause);
                    }
                }
                self.waiting = None;
                return Ok(response.map(|body| Body::new(Carried { body, ticket: self })));
            }
            Err(error) => error,
        };
        let status = normalise(callee, error.error());
        let progress = match error.take_message() {
            Some(unsent) => Progress::NeverLeft(Box::new(unsent)),
            None if refused_unread(error.error()) => Progress::Refused,
            None => Progress::Unknown,
        };
        if matches!(progress, Progress::NeverLeft(_)) || is_goodbye(error.error()) {
            self.connection.end();
        }
        match progress {
            // What was left unread says nothing of the endpoint.
            Progress::NeverLeft(_) | Progress::Refused => self.judged = true,
            Progress::NotConnected | Progress::Unknown => self.judge(status.code()),
        }
        Err(Loss { status, progress })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.judged && self.blamed_from().is_some_and(|due| Instant::now() >= due) {
            self.judge(Code::DeadlineExceeded);
        }
        self.connection.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The answer's body, with its ticket.
struct Carried {
    body: Incoming,
    ticket: Ticket,
}

impl http_body::Body for Carried {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.ticket.waiting.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                match frame.trailers_ref() {
                    Some(trailers) => self.ticket.judge(wire::code(trailers).unwrap_or(Code::Unknown)),
                    None => self.ticket.waiting = None,
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let status = normalise(self.ticket.shared.callee, &error);
                self.ticket.judge(status.code());
                Some(Err(status))
            }
            // Without trailers, unless the call was judged by its headers.
            None => {
                self.ticket.judge(Code::Unknown);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

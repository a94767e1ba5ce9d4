//! Calls that are sent again (gRFC A6). Of one message each way: methods marked repeatable, until response headers have come,
//! on UNAVAILABLE, and on RESOURCE_EXHAUSTED if the callee says when to come back. Of any method: as long as it has not left.
//! Of any whose caller sends one message, if that is kept: if the callee refused it unread, once at once and then like any failure.

use std::time::Duration;

use http::HeaderMap;
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status, body::Body};

use super::{
    Inner, RESERVE,
    attempt::Journey,
    error::{Loss, Progress},
    has_time,
    replay::{Buffered, buffer},
};
use crate::{
    backoff::{Backoff, Growth},
    deadline::Deadline,
    failure::Failure,
    metrics::Sent,
    wire,
};

/// Attempts in all, the first included.
const MAX_ATTEMPTS: u32 = 3;
const PAUSES: Growth = Growth { first: Duration::from_millis(50), factor: 2.0, longest: Duration::from_secs(1) };
/// With less time left than this, an attempt is never given up for another.
const WORTH_HALVING: Duration = Duration::from_millis(400);

/// Sends the request until it is answered, or may not be sent again; the last outcome is returned.
pub(super) async fn call(
    channel: &Inner,
    request: http::Request<Body>,
    repeatable: bool,
    deadline: Deadline,
    journey: &mut Journey,
) -> Result<http::Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let message = match buffer(body).await? {
        Buffered::Whole(message) => message,
        Buffered::Once(body) => return once(channel, http::Request::from_parts(head, body), deadline, journey).await,
    };
    let mut pauses = Backoff::new(PAUSES);
    let mut refused = false;
    loop {
        journey.due = repeatable.then(|| channel.patience(journey, deadline)).flatten();
        let request = http::Request::from_parts(head.clone(), Body::new(Full::new(message.clone())));
        let outcome = attempt(channel, request, deadline, journey).await;
        journey.why = Sent::Transparent;
        let (outcome, progress) = match outcome {
            // No attempts in A6's sense: nothing was asked of the callee yet.
            Err(Loss { progress: Progress::NeverLeft(_), .. }) if has_time(deadline) => continue,
            Err(Loss { progress: Progress::Refused, .. }) if !std::mem::replace(&mut refused, true) => continue,
            Err(loss) => (Err(loss.status), loss.progress),
            Ok(response) => (Ok(response), Progress::Unknown),
        };
        let Some(verdict) = Verdict::of(&outcome) else { return outcome };
        let again = matches!(verdict, Verdict::Retry(_)) && channel.may_repeat(repeatable, &progress);
        let Some(pause) = channel.pause(verdict, again, journey, &mut pauses, deadline) else { return outcome };
        sleep(pause).await;
        journey.attempts += 1;
        journey.previous += u32::from(!matches!(progress, Progress::NotConnected));
        journey.why = Sent::Retry;
    }
}

/// Sends a request that is not kept: again only if it is given back whole, for it had not left.
pub(super) async fn once(
    channel: &Inner,
    mut request: http::Request<Body>,
    deadline: Deadline,
    journey: &mut Journey,
) -> Result<http::Response<Body>, Status> {
    loop {
        match channel.transport.attempt(request, deadline, journey).await {
            Err(Loss { progress: Progress::NeverLeft(unsent), .. }) if has_time(deadline) => request = *unsent,
            outcome => return outcome.map_err(|loss| loss.status),
        }
        journey.why = Sent::Transparent;
    }
}

/// One attempt, until it is answered or due.
async fn attempt(
    channel: &Inner,
    request: http::Request<Body>,
    deadline: Deadline,
    journey: &mut Journey,
) -> Result<http::Response<Body>, Loss> {
    let due = journey.due;
    let answer = channel.transport.attempt(request, deadline, journey);
    let Some(due) = due else { return answer.await };
    let answered = timeout_at(due, answer).await;
    answered.unwrap_or_else(|_| {
        let loss = Loss::from(Failure::unreachable("an endpoint was silent"));
        journey.record.attempted(loss.status.code());
        Err(loss)
    })
}

impl Inner {
    /// Whether a call that failed so may be sent again, as far as its method and the retry budget are concerned.
    fn may_repeat(&self, repeatable: bool, progress: &Progress) -> bool {
        match progress {
            // Nothing was asked of the callee, and it is no trouble of its (A6: what it did not see takes no token).
            Progress::NotConnected => true,
            Progress::Refused => self.throttle.failed(),
            Progress::NeverLeft(_) | Progress::Unknown => repeatable && self.throttle.failed(),
        }
    }

    /// How long to wait before the next attempt; `None` if the outcome at hand stands.
    fn pause(
        &self,
        verdict: Verdict,
        again: bool,
        journey: &Journey,
        pauses: &mut Backoff,
        deadline: Deadline,
    ) -> Option<Duration> {
        let pause = match verdict {
            Verdict::Fine => {
                self.throttle.succeeded();
                return None;
            }
            Verdict::Stop => {
                self.throttle.failed();
                return None;
            }
            Verdict::Retry(_) if !again || journey.attempts + 1 >= MAX_ATTEMPTS => return None,
            Verdict::Retry(Some(pushback)) => {
                pauses.reset();
                pushback
            }
            Verdict::Retry(None) => pauses.next(&self.shared.random),
        };
        // The failure at hand says more than a deadline would, and says it now.
        (pause + RESERVE <= deadline.left()).then_some(pause)
    }

    /// When to give up the next attempt for another: at half the time that is left, if another endpoint can be asked then. It is
    /// how a call survives an endpoint that neither answers nor breaks.
    fn patience(&self, journey: &Journey, deadline: Deadline) -> Option<Instant> {
        let left = deadline.left();
        let another = journey.attempts + 1 < MAX_ATTEMPTS && self.throttle.allows();
        let halve = another && left >= WORTH_HALVING && self.transport.has_choice(&journey.tried);
        halve.then(|| Instant::now() + left / 2)
    }
}

/// What an outcome means for another attempt.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// OK, without a message.
    Fine,
    /// The callee asks not to be called again.
    Stop,
    /// Again, after the pause the callee asks for if it does.
    Retry(Option<Duration>),
}

impl Verdict {
    /// `None` if the outcome stands: response headers commit the call, and most codes are final.
    fn of(outcome: &Result<http::Response<Body>, Status>) -> Option<Self> {
        let (code, pushback) = match outcome {
            Ok(response) => (wire::code(response.headers())?, Pushback::of(response.headers())),
            Err(status) => (status.code(), Pushback::Unsaid),
        };
        match (code, pushback) {
            (Code::Ok, _) => Some(Self::Fine),
            (_, Pushback::Never) => Some(Self::Stop),
            (Code::Unavailable | Code::ResourceExhausted, Pushback::After(pause)) => Some(Self::Retry(Some(pause))),
            (Code::Unavailable, Pushback::Unsaid) => Some(Self::Retry(None)),
            _ => None,
        }
    }
}

/// `grpc-retry-pushback-ms` of an answer.
enum Pushback {
    Unsaid,
    After(Duration),
    /// It is negative, not to be understood, or there twice.
    Never,
}

impl Pushback {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(&wire::PUSHBACK).iter();
        let Some(value) = values.next() else { return Self::Unsaid };
        let millis = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|_| values.next().is_none());
        millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)))
    }
}

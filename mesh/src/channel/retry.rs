//! Calls that are sent again (gRFC A6). Of one message each way: methods marked repeatable, until response headers have come,
//! on UNAVAILABLE, and on RESOURCE_EXHAUSTED if the callee says when to come back. Of any method: as long as it has not left.
//! Of any whose caller sends one message, if that is kept: if the callee refused it unread, once at once and then like any failure.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status, body::Body};

use super::{
    Inner, RESERVE,
    attempt::{Attempt, Journey},
    error::{Loss, Progress},
    has_time,
    record::{AttemptSpan, Record},
    replay::{Buffered, buffer},
};
use crate::{
    backoff::{Backoff, Growth},
    metrics::Sent,
    wire::{self, Pushback},
};

/// Attempts in all, the first included.
const MAX_ATTEMPTS: u32 = 3;
const PAUSES: Growth = Growth { first: Duration::from_millis(50), factor: 2.0, longest: Duration::from_secs(1) };
/// With less time left than this, no attempt is made beside another.
const WORTH_HALVING: Duration = Duration::from_millis(400);

/// Sends the request until it is answered, or may not be sent again; the last outcome is returned.
pub(super) async fn call(
    channel: &Inner,
    request: http::Request<Body>,
    repeatable: bool,
    journey: &Journey,
    record: &mut Record,
) -> Result<http::Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let message = match buffer(body).await? {
        Buffered::Whole(message) => message,
        Buffered::Once(body) => return once(channel, http::Request::from_parts(head, body), journey, record).await,
    };
    let (outcome, span) = Kept { channel, head, message, repeatable, journey }.send(Past::default(), record).await;
    record.answered_by(span);
    outcome.map_err(|loss| loss.status)
}

/// Sends a request that is not kept: again only if it is given back whole, for it had not left.
pub(super) async fn once(
    channel: &Inner,
    mut request: http::Request<Body>,
    journey: &Journey,
    record: &mut Record,
) -> Result<http::Response<Body>, Status> {
    let mut why = Sent::First;
    loop {
        let span = record.sent(why, 0, request.headers_mut());
        let (outcome, span) = attempt(channel, request, Attempt { journey, due: None, span }).await;
        match outcome {
            Err(Loss { progress: Progress::NeverLeft(unsent), .. }) if has_time(journey.deadline) => request = *unsent,
            outcome => {
                record.answered_by(span);
                return outcome.map_err(|loss| loss.status);
            }
        }
        why = Sent::Transparent;
    }
}

type Outcome = Result<http::Response<Body>, Loss>;

/// How an attempt ended. Its span goes on with the answer's body.
type Ended = (Outcome, AttemptSpan);

async fn attempt(channel: &Inner, request: http::Request<Body>, mut attempt: Attempt<'_>) -> Ended {
    let outcome = channel.transport.attempt(request, &mut attempt).await;
    (outcome, std::mem::take(&mut attempt.span))
}

/// What a call has behind it.
struct Past {
    /// Attempts that count.
    attempts: u32,
    /// Those of them that left.
    previous: u32,
    /// Why the next request is sent.
    why: Sent,
    /// Whether the callee has refused one unread.
    refused: bool,
    pauses: Backoff,
}

impl Default for Past {
    fn default() -> Self {
        Self { attempts: 0, previous: 0, why: Sent::First, refused: false, pauses: Backoff::new(PAUSES) }
    }
}

impl Past {
    /// One more attempt failed, or is as good as failed.
    fn failed(&mut self, left: bool) {
        self.attempts += 1;
        self.previous += u32::from(left);
        self.why = Sent::Retry;
    }
}

/// A call whose request is kept, to be sent again.
struct Kept<'a> {
    channel: &'a Inner,
    head: http::request::Parts,
    message: Bytes,
    repeatable: bool,
    journey: &'a Journey,
}

impl<'a> Kept<'a> {
    /// Sends the request until it is answered, or may not be sent again.
    async fn send(&self, mut past: Past, record: &mut Record) -> Ended {
        loop {
            let due = self.patience(&past);
            let mut attempt = pin!(self.attempt(&past, due, record));
            let (outcome, span) = match due {
                None => attempt.await,
                Some(due) => match timeout_at(due, attempt.as_mut()).await {
                    Ok(ended) => ended,
                    Err(_) if self.channel.throttle.failed() => return self.beside(attempt, past, record).await,
                    Err(_) => attempt.await,
                },
            };
            match self.pause(&outcome, &mut past) {
                None => return (outcome, span),
                Some(Duration::ZERO) => {}
                Some(pause) => sleep(pause).await,
            }
        }
    }

    /// Sends the request again, beside an attempt that is not answered. Nobody knows whether its endpoint is gone or slow, so both are waited for, and
    /// the first answer is the call's.
    async fn beside(
        &self,
        mut slow: Pin<&mut impl Future<Output = Ended>>,
        mut past: Past,
        record: &mut Record,
    ) -> Ended {
        past.failed(true);
        let mut another = self.boxed(past, record);
        tokio::select! {
            biased;
            ended = slow.as_mut() => if is_answer(&ended.0) { ended } else { another.await },
            ended = &mut another => if is_answer(&ended.0) { ended } else { slow.await },
        }
    }

    /// For [`Self::beside`], which is part of what it calls.
    fn boxed<'s>(&'s self, past: Past, record: &'s mut Record) -> Pin<Box<dyn Future<Output = Ended> + Send + 's>> {
        Box::pin(self.send(past, record))
    }

    /// One attempt, to be awaited while others are noted in `record`.
    fn attempt<'s>(
        &'s self,
        past: &Past,
        due: Option<Instant>,
        record: &mut Record,
    ) -> impl Future<Output = Ended> + Send + use<'s, 'a> {
        let body = Body::new(Full::new(self.message.clone()));
        let mut request = http::Request::from_parts(self.head.clone(), body);
        let span = record.sent(past.why, past.previous, request.headers_mut());
        attempt(self.channel, request, Attempt { journey: self.journey, due, span })
    }

    /// When to make another attempt beside the next one: at half the time that is left, if another endpoint can be asked then. It is how a call
    /// survives an endpoint that neither answers nor breaks.
    fn patience(&self, past: &Past) -> Option<Instant> {
        let (Inner { throttle, transport, .. }, left) = (self.channel, self.journey.deadline.left());
        let another = self.repeatable && past.attempts + 1 < MAX_ATTEMPTS && throttle.allows();
        let halve = another && left >= WORTH_HALVING && transport.has_choice(self.journey);
        halve.then(|| Instant::now() + left / 2)
    }

    /// How long to wait before the next attempt; `None` if the outcome at hand stands.
    fn pause(&self, outcome: &Outcome, past: &mut Past) -> Option<Duration> {
        let progress = outcome.as_ref().err().map(|loss| &loss.progress);
        let unread = match progress {
            // No attempts in A6's sense: nothing was asked of the callee yet.
            Some(Progress::NeverLeft(_)) => has_time(self.journey.deadline),
            Some(Progress::Refused) => !std::mem::replace(&mut past.refused, true),
            _ => false,
        };
        if unread {
            past.why = Sent::Transparent;
            return Some(Duration::ZERO);
        }
        let throttle = &self.channel.throttle;
        let pushback = match Verdict::of(outcome)? {
            Verdict::Fine => {
                throttle.succeeded();
                return None;
            }
            Verdict::Stop => {
                throttle.failed();
                return None;
            }
            Verdict::Retry(pushback) => pushback,
        };
        if !self.may_repeat(progress) || past.attempts + 1 >= MAX_ATTEMPTS {
            return None;
        }
        let pause = match pushback {
            Some(pause) => {
                past.pauses.reset();
                pause
            }
            None => past.pauses.next(&self.channel.shared.random),
        };
        past.failed(!matches!(progress, Some(Progress::NotConnected)));
        // The failure at hand says more than a deadline would, and says it now.
        (pause + RESERVE <= self.journey.deadline.left()).then_some(pause)
    }

    /// Whether a call that failed so may be sent again, as far as its method and the retry budget are concerned.
    fn may_repeat(&self, progress: Option<&Progress>) -> bool {
        match progress {
            // Nothing was asked of the callee, and it is no trouble of its (A6: what it did not see takes no token).
            Some(Progress::NotConnected) => true,
            Some(Progress::Refused) => self.channel.throttle.failed(),
            Some(Progress::NeverLeft(_) | Progress::Unknown) | None => {
                self.repeatable && self.channel.throttle.failed()
            }
        }
    }
}

/// Whether it is final: what stands on its own while another attempt is under way.
fn is_answer(outcome: &Outcome) -> bool {
    matches!(Verdict::of(outcome), None | Some(Verdict::Fine))
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
    fn of(outcome: &Outcome) -> Option<Self> {
        let (code, pushback) = match outcome {
            Ok(response) => (wire::code(response.headers())?, Pushback::of(response.headers())),
            Err(loss) => (loss.status.code(), Pushback::Unsaid),
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

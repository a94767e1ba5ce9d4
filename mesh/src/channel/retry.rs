//! Calls that are sent again (gRFC A6): methods marked repeatable, one message each way, on UNAVAILABLE alone, and only until
//! response headers have come.

use std::time::Duration;

use http::HeaderMap;
use http_body_util::Full;
use tokio::time::sleep;
use tonic::{Code, Status, body::Body};

use super::{
    attempt::Transport,
    replay::{Buffered, buffer},
    throttle::Throttle,
};
use crate::{clock::Random, deadline::Deadline, wire};

/// Attempts in all, the first included.
const MAX_ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Sends the request until it is answered, or may not be sent again; the last outcome is returned.
pub(super) async fn call(
    transport: &Transport,
    throttle: &Throttle,
    random: &Random,
    request: http::Request<Body>,
    deadline: Deadline,
) -> Result<http::Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let message = match buffer(body).await? {
        Buffered::Whole(message) => message,
        Buffered::Once(body) => return transport.attempt(http::Request::from_parts(head, body), deadline, 0).await,
    };
    let mut ceiling = FIRST_PAUSE;
    let mut previous = 0;
    loop {
        let body = Body::new(Full::new(message.clone()));
        let outcome = transport.attempt(http::Request::from_parts(head.clone(), body), deadline, previous).await;
        let Some(headers) = unavailable(&outcome) else {
            throttle.succeeded();
            return outcome;
        };
        let pushback = pushback(headers);
        if !throttle.failed() || previous + 1 >= MAX_ATTEMPTS {
            return outcome;
        }
        let pause = match pushback {
            Pushback::Never => return outcome,
            Pushback::After(pause) => {
                ceiling = FIRST_PAUSE;
                pause
            }
            Pushback::Unsaid => {
                let pause = random.between(Duration::ZERO..ceiling);
                ceiling = (ceiling * 2).min(LONGEST_PAUSE);
                pause
            }
        };
        // The failure at hand says more than a deadline would, and says it now.
        if pause >= deadline.left() {
            return outcome;
        }
        sleep(pause).await;
        previous += 1;
    }
}

/// The headers of an outcome that is UNAVAILABLE and nothing else: a failure of the transport, or an answer of headers alone.
fn unavailable(outcome: &Result<http::Response<Body>, Status>) -> Option<HeaderMap> {
    match outcome {
        Ok(response) => (wire::code(response.headers())? == Code::Unavailable).then(|| response.headers().clone()),
        Err(status) => (status.code() == Code::Unavailable).then(HeaderMap::new),
    }
}

enum Pushback {
    /// The callee left it to the caller.
    Unsaid,
    /// Exactly this long.
    After(Duration),
    /// Negative, or not to be understood: not again.
    Never,
}

fn pushback(headers: HeaderMap) -> Pushback {
    let Some(value) = headers.get(wire::PUSHBACK) else { return Pushback::Unsaid };
    match value.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(millis) => Pushback::After(Duration::from_millis(millis)),
        None => Pushback::Never,
    }
}

//! Calls that are sent again (gRFC A6). Of one message each way: methods marked repeatable, on UNAVAILABLE alone, only until
//! response headers have come. Of any method whose caller sends one message: once, at once, if the callee saw nothing of it.

use std::time::Duration;

use http::HeaderMap;
use http_body_util::Full;
use tokio::time::sleep;
use tonic::{Code, Status, body::Body};

use super::{
    Inner,
    replay::{Buffered, buffer},
};
use crate::{clock::Random, deadline::Deadline, wire};

/// Attempts in all, the first included.
const MAX_ATTEMPTS: u32 = 3;
/// The longest pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Sends the request until it is answered, or may not be sent again; the last outcome is returned.
pub(super) async fn call(
    channel: &Inner,
    request: http::Request<Body>,
    repeatable: bool,
    deadline: Deadline,
) -> Result<http::Response<Body>, Status> {
    let (head, body) = request.into_parts();
    let send = async |body, previous| {
        channel.transport.attempt(http::Request::from_parts(head.clone(), body), deadline, previous).await
    };
    let message = match buffer(body).await? {
        Buffered::Whole(message) => message,
        Buffered::Once(body) => return send(body, 0).await.map_err(|loss| loss.status),
    };
    let mut pauses = Pauses { ceiling: FIRST_PAUSE };
    let (mut previous, mut unseen) = (0, 0);
    loop {
        let outcome = match send(Body::new(Full::new(message.clone())), previous).await {
            // No attempt in A6's sense: nothing was asked of the callee yet.
            Err(loss) if loss.unseen && unseen == 0 => {
                unseen += 1;
                continue;
            }
            outcome => outcome.map_err(|loss| loss.status),
        };
        let Some(headers) = unavailable(&outcome) else {
            channel.throttle.succeeded();
            return outcome;
        };
        if !repeatable || !channel.throttle.failed() || previous + 1 >= MAX_ATTEMPTS {
            return outcome;
        }
        // The failure at hand says more than a deadline would, and says it now.
        let Some(pause) = pauses.next(&headers, &channel.random).filter(|pause| *pause < deadline.left()) else {
            return outcome;
        };
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

/// Exponential, with full jitter, unless the callee says how long.
struct Pauses {
    ceiling: Duration,
}

impl Pauses {
    /// How long to wait, or `None` for not again: `grpc-retry-pushback-ms` is negative, or not to be understood.
    fn next(&mut self, headers: &HeaderMap, random: &Random) -> Option<Duration> {
        if let Some(value) = headers.get(wire::PUSHBACK) {
            self.ceiling = FIRST_PAUSE;
            return value.to_str().ok()?.parse().ok().map(Duration::from_millis);
        }
        let pause = random.between(Duration::ZERO..self.ceiling);
        self.ceiling = (self.ceiling * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

//! The header names and time-outs of gRPC over HTTP/2 that tonic keeps to itself.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::failure::MAX_MESSAGE;

pub(crate) const TIMEOUT: &str = "grpc-timeout";
pub(crate) const STATUS: &str = "grpc-status";
pub(crate) const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// Carries the peer token of the caller.
pub(crate) const PEER: &str = "x-plaza-peer";

/// `grpc-timeout`, if it is there and well formed. One that is not is treated as absent: the policy bounds the call anyway.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

/// `grpc-timeout` for what is left, rounded down so that the callee never has longer than its caller.
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let (value, unit) = match left {
        left if left.as_micros() <= MAX => (left.as_micros(), 'u'),
        left if left.as_millis() <= MAX => (left.as_millis(), 'm'),
        left => (u128::from(left.as_secs()).min(MAX), 'S'),
    };
    let mut text = String::with_capacity(9);
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}{unit}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("0u"))
}

/// The code of a `grpc-status` header or trailer.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// A status as trailers. One that does not fit into headers leaves as INTERNAL without text.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.clear();
        trailers.insert(STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

/// Keeps a status small enough for headers: its message is cut, details that are too large are left out.
pub(crate) fn bound(headers: &mut HeaderMap) {
    const MESSAGE: &str = "grpc-message";
    const DETAILS: &str = "grpc-status-details-bin";
    const MAX_DETAILS: usize = 6 * 1024;
    if headers.get(DETAILS).is_some_and(|details| details.len() > MAX_DETAILS) {
        headers.remove(DETAILS);
    }
    let cut = headers.get(MESSAGE).filter(|message| message.len() > MAX_MESSAGE).map(|message| {
        // The text is percent-encoded, and an escape must not be cut in two.
        let kept = &message.as_bytes()[..MAX_MESSAGE];
        let escape = kept.iter().rev().take(2).position(|byte| *byte == b'%').map_or(0, |from_end| from_end + 1);
        HeaderValue::from_bytes(&kept[..MAX_MESSAGE - escape])
    });
    if let Some(Ok(message)) = cut {
        headers.insert(MESSAGE, message);
    }
}

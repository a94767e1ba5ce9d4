//! The header names and time-outs of gRPC over HTTP/2 that tonic keeps to itself.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};

use crate::failure::{MAX_MESSAGE, cut};

// Statics, for a name that is text is parsed at each look.
pub(crate) static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) static STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) static PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");
pub(crate) static PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// Carries the peer token of the caller.
pub(crate) static PEER: HeaderName = HeaderName::from_static("x-plaza-peer");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The codes of gRPC, by number.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code: `INVALID_ARGUMENT`.
pub fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// Whether a code is an error for who was called (OpenTelemetry's conventions for gRPC): what is its own fault. A wrong code is none. For who calls,
/// whatever is not OK is an error.
pub(crate) fn is_callees_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// `grpc-retry-pushback-ms` of an answer.
pub(crate) enum Pushback {
    Unsaid,
    After(Duration),
    /// It is negative, not to be understood, or there twice.
    Never,
}

impl Pushback {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(&PUSHBACK).iter();
        let Some(value) = values.next() else { return Self::Unsaid };
        let millis = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|_| values.next().is_none());
        millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)))
    }
}

/// `grpc-timeout`, if it is there and well formed. One that is not is treated as absent: the policy bounds the call anyway.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&TIMEOUT)?.to_str().ok()?;
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

/// `grpc-timeout` for what is left, rounded down so that the callee never has longer than its caller: to milliseconds from a second on, since a value that
/// calls share is a byte of HPACK, and one that they do not pushes out of its table what they share.
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let (value, unit) = match left {
        left if left < Duration::from_secs(1) => (left.as_micros(), 'u'),
        left if left.as_millis() <= MAX => (left.as_millis(), 'm'),
        left => (u128::from(left.as_secs()).min(MAX), 'S'),
    };
    let mut text = String::with_capacity(9);
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}{unit}");
    HeaderValue::from_str(&text).expect("digits and a letter")
}

/// The code of a `grpc-status` header or trailer.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(&STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// A status as trailers. One that does not fit into headers leaves as INTERNAL without text.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.clear();
        trailers.insert(&STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

/// Keeps a status small enough for headers: its message is cut, details that are too large are left out.
pub(crate) fn bound(headers: &mut HeaderMap) {
    const MAX_DETAILS: usize = 6 * 1024;
    if headers.get(&DETAILS).is_some_and(|details| details.len() > MAX_DETAILS) {
        headers.remove(&DETAILS);
    }
    if headers.get(&MESSAGE).is_some_and(|message| message.len() > MAX_MESSAGE) {
        // The text is percent-encoded: it can be cut between characters only once it is read.
        let text = Status::from_header_map(headers).map(|status| cut(status.message().to_owned(), MAX_MESSAGE));
        let mut shorter = trailers(&Status::unknown(text.unwrap_or_default()));
        headers.remove(&MESSAGE);
        headers.extend(shorter.remove(&MESSAGE).map(|message| (MESSAGE.clone(), message)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_written_short_and_read_back_no_longer() {
        for (left, wanted) in [
            (Duration::ZERO, "0u"),
            (Duration::from_nanos(1999), "1u"),
            (Duration::from_micros(999_999), "999999u"),
            (Duration::from_micros(4_999_999), "4999m"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            let value = timeout_value(left);
            assert_eq!(value, wanted);
            let headers = HeaderMap::from_iter([(TIMEOUT.clone(), value)]);
            assert!(timeout(&headers).expect("well formed") <= left);
        }
    }

    #[test]
    fn a_malformed_timeout_is_none() {
        for text in ["", "5", "u", "123456789u", "-1u", "+1u", "1.5S", "1s", "1µ", "é"] {
            let value = HeaderValue::from_bytes(text.as_bytes()).expect("a value");
            assert_eq!(timeout(&HeaderMap::from_iter([(TIMEOUT.clone(), value)])), None, "{text}");
        }
    }
}

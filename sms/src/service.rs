//! The gRPC services: parse, call, render.

pub(crate) mod inbox;
pub(crate) mod message;
pub(crate) mod otp;

use prost_types::Timestamp;

/// Microseconds since 1970 as they travel.
fn timestamp(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

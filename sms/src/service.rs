//! The gRPC services: parse, call, render.

pub(crate) mod inbox;
pub(crate) mod message;
pub(crate) mod otp;

//! Everything that is shown through gRPC, in one test binary: stories told through the generated clients, against the real services on real
//! databases.

mod access;
mod bad_input;
mod blog;
mod collector;
mod contracts;
mod deletion;
mod durable;
mod faults;
mod keys;
mod operators;
mod otp;
mod owed;
mod provisioning;
mod reconcile;
mod recovery;
mod revocations;
mod sessions;
mod signin;
mod signup;
mod storage;
mod targets;
mod throttle;
mod tracing;
mod wire;
mod world;

//! Everything that is shown through gRPC, in one test binary: stories told through the generated clients, against the real services on real
//! databases.

mod access;
mod audit;
mod bad_input;
mod blog;
mod contracts;
mod deletion;
mod durable;
mod faults;
mod history;
mod keys;
mod metrics;
mod operators;
mod otp;
mod owed;
mod provisioning;
mod reconcile;
mod recovery;
mod sessions;
mod signin;
mod signup;
mod targets;
mod throttle;
mod wire;
mod world;

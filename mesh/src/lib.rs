//! All between a socket and a handler. A method's policy stands in its contract; this crate reads it there and enforces it
//! on both ends of every call: who may call, how long it may take, and whether it may be repeated.
//!
//! A caller holds a [`Channel`] (over a socket or in memory) under a generated client; a service adds its generated
//! servers to a [`Server`] and gets a [`Router`].

pub mod access;
pub mod admin;
mod backoff;
pub mod channel;
pub mod clock;
pub mod config;
pub mod deadline;
mod door;
pub mod failure;
mod farewell;
pub mod files;
pub mod keyfile;
pub mod keys;
#[cfg(test)]
mod layers;
pub mod log;
pub mod metrics;
mod otlp;
pub mod page;
pub mod parse;
pub mod policy;
pub mod process;
mod proxies;
pub mod revocations;
mod seldom;
pub mod server;
pub mod shutdown;
pub mod stderr;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod threads;
pub mod tls;
pub mod token;
pub mod trace;
pub mod web;
mod wire;
mod workers;

pub use access::{Caller, Person};
pub use admin::{Admin, AdminConfig};
pub use channel::{Channel, ChannelOptions, Local, Network, PeerIdentity};
pub use clock::{Clock, Random, uuid_v7};
pub use deadline::Deadline;
pub use failure::Failure;
pub use metrics::ClientMetrics;
pub use parse::Fields;
pub use proxies::Proxies;
pub use server::{Limits, Port, Router, Server, Stack, bind};
pub use shutdown::Shutdown;
pub use telemetry::{Telemetry, TelemetryConfig};
pub use threads::Threads;
pub use tls::{Tls, TlsConfig};
pub use trace::Tracer;
pub use web::{Web, WebConfig};
pub use wire::code_name;
pub use workers::Workers;

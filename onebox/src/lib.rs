//! Onebox: all of Plaza in one process, on SQLite, the services calling each other in memory. The program `plaza` serves it on
//! loopback; tests boot the same thing without sockets, on a clock and a seed of their own.
//!
//! ```ignore
//! let mut plaza = Onebox::start(Config::embedded(folder)?, Edge::simulated(noon, 1)).await?;
//! let auth = AuthServiceClient::new(plaza.client(Part::Sso).expect("it runs"));
//! plaza.withdraw(Part::Social);           // Social is unreachable, and goes on
//! plaza.publish(Part::Social);            // and is back
//! plaza.stop_part(Part::Sms).await;       // SMS is gone
//! plaza.start_part(Part::Sms).await?;     // and starts again, on the same data
//! ```

pub mod certs;
mod config;
mod data;
mod onebox;
mod operator;
mod part;
mod running;
mod serve;
pub mod welcome;

pub use crate::{
    config::{Config, ConfigError, DEFAULT},
    data::DataError,
    onebox::{Edge, Faults, Onebox, StartError},
    operator::{MAX_TTL, OperatorError, operator_token, operators_key},
    part::Part,
    running::Running,
    serve::{PortError, Ports, ServeError},
};

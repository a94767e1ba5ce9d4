//! SSO's settings. `default.toml`, embedded, is their manual.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use mesh::config::{Bounds, ConfigError};
use serde::Deserialize;

use crate::hashing;

/// The defaults, and what each setting means.
pub const DEFAULT: &str = include_str!("../default.toml");

/// All settings of SSO.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Proxies that are believed when they say whom a call is from.
    pub proxies: mesh::Proxies,
    /// The database; prints masked, for it may hold a password.
    pub database_url: mesh::config::Secret,
    /// How many connections it keeps to a PostgreSQL.
    pub database_connections: mesh::config::Connections,
    /// What it takes on, and how long it waits.
    pub server: mesh::Limits,
    /// Where whoever runs it looks.
    pub admin: mesh::AdminConfig,
    /// How to log.
    pub log: mesh::log::LogConfig,
    /// The port for browsers.
    pub web: mesh::WebConfig,
    /// Where spans go.
    pub telemetry: mesh::TelemetryConfig,
    /// How to prove itself and believe others.
    pub tls: mesh::TlsConfig,
    /// Where keys are.
    pub keys: Keys,
    /// Where the other services are.
    pub peers: Peers,
    /// What access tokens say.
    pub tokens: Tokens,
    /// How long sign-ins last.
    pub sessions: Sessions,
    /// How persons may sign in.
    pub sign_in: SignIn,
    /// How often passwords and codes may be tried, and how many may sign up.
    pub throttle: Throttle,
    /// What is kept of what was decided.
    pub audit: Audit,
    /// How passwords are hashed.
    pub passwords: hashing::Config,
}

impl Config {
    /// The defaults, overridden by `file`, overridden by the environment.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type, or a file that cannot be read; the text names it.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        mesh::config::load(crate::NAME, DEFAULT, file)
    }

    /// Whether all numbers are within their bounds.
    ///
    /// # Errors
    /// All that are not, by name.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { tokens, sessions, throttle, audit, .. } = self;
        // None of them may be negative, nor 0.
        let times = |times: i32| u64::try_from(times).unwrap_or(0);
        let mut bounds = Bounds::default();
        for (key, value, within) in [
            ("tokens.access_seconds", tokens.access_seconds, 60..=3600),
            ("sessions.idle_days", sessions.idle_days, 1..=90),
            ("sessions.absolute_days", sessions.absolute_days, 1..=365),
            ("sessions.grace_seconds", sessions.grace_seconds, 0..=60),
            ("sessions.per_user", sessions.per_user.into(), 1..=500),
            ("throttle.account_misses", times(throttle.account_misses), 1..=1_000_000),
            ("throttle.network_per_minute", times(throttle.network_per_minute), 1..=1_000_000),
            ("throttle.pair_per_minute", times(throttle.pair_per_minute), 1..=1_000_000),
            ("throttle.sign_ups_per_hour", times(throttle.sign_ups_per_hour), 1..=1_000_000),
            ("audit.keep_days", audit.keep_days, 1..=3650),
        ] {
            bounds.hold(key, value, within);
        }
        bounds.finish(())
    }
}

/// Where keys are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The file of the master key.
    pub master_file: PathBuf,
    /// The file of the mesh key, if there is one.
    pub mesh_file: PathBuf,
    /// Whose tokens are operators', besides those that the mesh key makes.
    pub operators: mesh::token::Operators,
    /// Whether to make a file that is missing.
    pub create: bool,
}

/// Where the other services are, as URIs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// SMS.
    pub sms: String,
    /// Social.
    pub social: String,
    /// Blog.
    pub blog: String,
}

/// What access tokens say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The implicit assertion.
    pub deployment: String,
    /// The life of an access token, in seconds, 60 to 3600.
    pub access_seconds: u64,
}

/// How long sign-ins last.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Days a session lasts without a refresh, 1 to 90.
    pub idle_days: u64,
    /// Days it lasts at all, 1 to 365.
    pub absolute_days: u64,
    /// Seconds in which the last refresh may be repeated, 0 to 60.
    pub grace_seconds: u64,
    /// Sessions of one user, 1 to 500.
    pub per_user: u32,
}

/// What is kept of what was decided.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days an event is kept, 1 to 3650.
    pub keep_days: u64,
}

/// How persons may sign in, besides by password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Whether a code to a verified identifier signs in.
    pub by_code: bool,
}

/// How often passwords and codes may be tried, and how many may sign up. Each 1 to 1,000,000.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Misses for one identifier that cost no pause.
    pub account_misses: i32,
    /// Misses and tries under way from one network, a minute.
    pub network_per_minute: i32,
    /// The same for one identifier from one network.
    pub pair_per_minute: i32,
    /// Sign-ups from one network, an hour.
    pub sign_ups_per_hour: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_out_of_bounds_is_named() {
        let mut config = Config::load(None).expect("the defaults");
        assert_eq!(config.check(), Ok(()));
        (config.tokens.access_seconds, config.throttle.pair_per_minute) = (59, -1);
        let refused = config.check().expect_err("two are wrong");
        assert!(refused.contains("tokens.access_seconds must be from 60 to 3600, not 59"), "{refused}");
        assert!(refused.contains("throttle.pair_per_minute must be from 1 to 1000000"), "{refused}");
    }
}

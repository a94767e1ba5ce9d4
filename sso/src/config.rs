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
    /// An unknown key, a value of the wrong type or out of its bounds, or a file that cannot be read; the text names it.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        mesh::config::load(crate::NAME, DEFAULT, file)
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
#[serde(try_from = "RawTokens")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    issuer: String,
    audience: String,
    deployment: String,
    access_seconds: u64,
}

impl TryFrom<RawTokens> for Tokens {
    type Error = String;

    fn try_from(raw: RawTokens) -> Result<Self, String> {
        let RawTokens { issuer, audience, deployment, access_seconds } = raw;
        let mut bounds = Bounds::default();
        bounds.hold("tokens.access_seconds", access_seconds, 60..=3600);
        bounds.finish(Self { issuer, audience, deployment, access_seconds })
    }
}

/// How long sign-ins last.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawSessions")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSessions {
    idle_days: u64,
    absolute_days: u64,
    grace_seconds: u64,
    per_user: u32,
}

impl TryFrom<RawSessions> for Sessions {
    type Error = String;

    fn try_from(raw: RawSessions) -> Result<Self, String> {
        let RawSessions { idle_days, absolute_days, grace_seconds, per_user } = raw;
        let mut bounds = Bounds::default();
        bounds.hold("sessions.idle_days", idle_days, 1..=90);
        bounds.hold("sessions.absolute_days", absolute_days, 1..=365);
        bounds.hold("sessions.grace_seconds", grace_seconds, 0..=60);
        bounds.hold("sessions.per_user", per_user.into(), 1..=500);
        bounds.finish(Self { idle_days, absolute_days, grace_seconds, per_user })
    }
}

/// What is kept of what was decided.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawAudit")]
pub struct Audit {
    /// Days an event is kept, 1 to 3650.
    pub keep_days: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    keep_days: u64,
}

impl TryFrom<RawAudit> for Audit {
    type Error = String;

    fn try_from(raw: RawAudit) -> Result<Self, String> {
        let RawAudit { keep_days } = raw;
        let mut bounds = Bounds::default();
        bounds.hold("audit.keep_days", keep_days, 1..=3650);
        bounds.finish(Self { keep_days })
    }
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
#[serde(try_from = "RawThrottle")]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawThrottle {
    account_misses: u32,
    network_per_minute: u32,
    pair_per_minute: u32,
    sign_ups_per_hour: u32,
}

impl TryFrom<RawThrottle> for Throttle {
    type Error = String;

    fn try_from(raw: RawThrottle) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        let mut times = |key, times: u32| {
            bounds.hold(key, times.into(), 1..=1_000_000);
            i32::try_from(times).unwrap_or(i32::MAX)
        };
        let throttle = Self {
            account_misses: times("throttle.account_misses", raw.account_misses),
            network_per_minute: times("throttle.network_per_minute", raw.network_per_minute),
            pair_per_minute: times("throttle.pair_per_minute", raw.pair_per_minute),
            sign_ups_per_hour: times("throttle.sign_ups_per_hour", raw.sign_ups_per_hour),
        };
        bounds.finish(throttle)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn refused(section: &str, lines: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "[{section}]\n{lines}").expect("written");
        let refused = Config::load(Some(file.path())).expect_err(lines).to_string();
        assert!(refused.contains(&file.path().display().to_string()), "{refused}");
        refused
    }

    #[test]
    fn what_is_out_of_bounds_is_named_when_it_is_read() {
        for (section, key, least, most) in [
            ("tokens", "access_seconds", 60, 3600),
            ("sessions", "idle_days", 1, 90),
            ("sessions", "absolute_days", 1, 365),
            ("sessions", "grace_seconds", 0, 60),
            ("sessions", "per_user", 1, 500),
            ("throttle", "account_misses", 1, 1_000_000),
            ("throttle", "network_per_minute", 1, 1_000_000),
            ("throttle", "pair_per_minute", 1, 1_000_000),
            ("throttle", "sign_ups_per_hour", 1, 1_000_000),
            ("audit", "keep_days", 1, 3650),
            ("passwords", "cost", if cfg!(debug_assertions) { 4 } else { 10 }, 16),
            ("passwords", "threads", 0, 64),
            ("passwords", "queue", 1, 4096),
        ] {
            for wrong in [most + 1, least - 1] {
                let text = refused(section, &format!("{key} = {wrong}"));
                let bounds = format!("{section}.{key} must be from {least} to {most}, not {wrong}");
                let negative = wrong < 0 && text.contains(&format!("`{section}.{key}`"));
                assert!(negative || text.contains(&bounds), "{text}");
            }
        }
        let both = refused("passwords", "cost = 17\nqueue = 0");
        assert!(both.contains("passwords.cost must") && both.contains("passwords.queue must"), "{both}");
    }
}

//! The configuration: parsed into types that hold valid values alone. Every key is explained in `default.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mesh::{
    AdminConfig,
    config::{Bounds, ConfigError, Connections, Secret},
    log::LogConfig,
};
use serde::Deserialize;

use crate::{
    code::{MAX_DIGITS, MIN_DIGITS},
    limits::Limits,
};

/// The embedded defaults, commented.
pub const DEFAULT: &str = include_str!("../default.toml");

/// The configuration of SMS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Which database. It may hold a password.
    pub database_url: Secret,
    /// How many connections it keeps to a PostgreSQL.
    pub database_connections: Connections,
    /// What it takes on, and how long it waits.
    pub server: mesh::Limits,
    /// How to prove itself and believe others.
    pub tls: mesh::TlsConfig,
    /// Where a process of its own finds its keys.
    pub keys: KeysConfig,
    /// Which tokens a process of its own believes.
    pub tokens: TokensConfig,
    /// Who delivers.
    pub carrier: CarrierConfig,
    /// How deliveries are waited for.
    pub delivery: DeliveryConfig,
    /// How often what may happen.
    pub limits: LimitsConfig,
    /// How often old rows are deleted.
    pub sweep: SweepConfig,
    /// Where whoever runs it looks.
    pub admin: AdminConfig,
    /// How to log.
    pub log: LogConfig,
    /// Where spans go.
    pub telemetry: mesh::TelemetryConfig,
}

impl Config {
    /// The embedded defaults, overridden by `file` and by `PLAZA_SMS__…` in the environment.
    ///
    /// # Errors
    /// As [`mesh::config::load`], and for values out of their bounds.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        mesh::config::load("sms", DEFAULT, file)
    }
}

/// Where the keys are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// The file of the master key.
    pub master_file: PathBuf,
    /// The file of the mesh key, if there is one.
    pub mesh_file: PathBuf,
    /// Whether to make what is missing.
    pub create: bool,
}

/// Which tokens are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensConfig {
    /// The implicit assertion: the deployment they are good for.
    pub deployment: String,
}

/// Who delivers. The inbox is part of the development carrier: no value of this type has a real carrier and an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawCarrier")]
pub enum CarrierConfig {
    /// An inbox in memory, served to anyone by `sms.v1.InboxService`.
    Development {
        /// Whether every message is printed on standard output too.
        console: bool,
    },
    /// The carrier handed in by [`crate::Deps::carrier`].
    Embedded,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCarrier {
    kind: RawKind,
    console: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Development,
    Embedded,
}

impl TryFrom<RawCarrier> for CarrierConfig {
    type Error = String;

    fn try_from(raw: RawCarrier) -> Result<Self, String> {
        Ok(match raw.kind {
            RawKind::Development => Self::Development { console: raw.console.unwrap_or(false) },
            // The default file says `console = true`, so a file that only names another kind inherits it.
            RawKind::Embedded => Self::Embedded,
        })
    }
}

/// How deliveries are waited for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "RawDelivery")]
pub struct DeliveryConfig {
    /// How long to wait for the carrier.
    pub(crate) timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDelivery {
    timeout_ms: u64,
}

impl TryFrom<RawDelivery> for DeliveryConfig {
    type Error = String;

    fn try_from(raw: RawDelivery) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        bounds.hold("delivery.timeout_ms", raw.timeout_ms, 100..=1700);
        bounds.finish(Self { timeout: Duration::from_millis(raw.timeout_ms) })
    }
}

/// How often old rows are deleted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "RawSweep")]
pub struct SweepConfig {
    pub(crate) every: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSweep {
    every_seconds: u64,
}

impl TryFrom<RawSweep> for SweepConfig {
    type Error = String;

    fn try_from(raw: RawSweep) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        bounds.hold("sweep.every_seconds", raw.every_seconds, 10..=3600);
        bounds.finish(Self { every: Duration::from_secs(raw.every_seconds) })
    }
}

/// The limits, each within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawLimits")]
pub struct LimitsConfig {
    pub(crate) code_digits: u32,
    pub(crate) limits: Limits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    code_digits: u32,
    code_lifetime_seconds: u64,
    cool_down_seconds: Vec<u64>,
    sends_per_verification: u16,
    sends_per_hour: u16,
    sends_per_day: u16,
    guesses_per_verification: u16,
    guesses_per_day: u16,
    notices_per_day: u16,
}

impl RawLimits {
    fn check(&self) -> Bounds {
        let mut bounds = Bounds::default();
        bounds.hold("limits.code_digits", self.code_digits.into(), MIN_DIGITS.into()..=MAX_DIGITS.into());
        bounds.hold("limits.code_lifetime_seconds", self.code_lifetime_seconds, 30..=600);
        bounds.hold("limits.sends_per_verification", self.sends_per_verification.into(), 1..=5);
        bounds.hold("limits.sends_per_hour", self.sends_per_hour.into(), 1..=20);
        bounds.hold("limits.sends_per_day", self.sends_per_day.into(), 1..=50);
        bounds.hold("limits.guesses_per_verification", self.guesses_per_verification.into(), 1..=5);
        bounds.hold("limits.guesses_per_day", self.guesses_per_day.into(), 1..=100);
        bounds.hold("limits.notices_per_day", self.notices_per_day.into(), 1..=50);
        bounds.hold("the number of limits.cool_down_seconds", self.cool_down_seconds.len() as u64, 1..=8);
        for wait in &self.cool_down_seconds {
            bounds.hold("each of limits.cool_down_seconds", *wait, 1..=3600);
        }
        if !self.cool_down_seconds.is_sorted() {
            bounds.refuse("limits.cool_down_seconds must not fall".to_owned());
        }
        bounds
    }
}

impl TryFrom<RawLimits> for LimitsConfig {
    type Error = String;

    fn try_from(raw: RawLimits) -> Result<Self, String> {
        let limits = Limits {
            code_lifetime: Duration::from_secs(raw.code_lifetime_seconds),
            cool_downs: raw.cool_down_seconds.iter().copied().map(Duration::from_secs).collect(),
            sends_per_verification: raw.sends_per_verification,
            sends_per_hour: raw.sends_per_hour,
            sends_per_day: raw.sends_per_day,
            guesses_per_verification: raw.guesses_per_verification,
            guesses_per_day: raw.guesses_per_day,
            notices_per_day: raw.notices_per_day,
        };
        raw.check().finish(Self { code_digits: raw.code_digits, limits })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn with(lines: &str) -> Result<Config, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(lines.as_bytes()).expect("written");
        Config::load(Some(file.path())).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_file_is_a_configuration() {
        let config = with("").expect("the default");
        assert_eq!(config.listen.to_string(), "127.0.0.1:50052");
        assert_eq!(config.carrier, CarrierConfig::Development { console: true });
        assert_eq!(config.limits.limits.cool_downs, [30, 60, 120, 300].map(Duration::from_secs));
        assert_eq!(config.server, mesh::Limits::default());
    }

    #[test]
    fn a_code_that_works_over_ten_minutes_is_refused_with_every_other_mistake() {
        let error = with("[limits]\ncode_lifetime_seconds = 601\ncode_digits = 5\ncool_down_seconds = [60, 30]")
            .expect_err("out of bounds");
        for part in
            ["limits.code_lifetime_seconds must be from 30 to 600, not 601", "limits.code_digits", "must not fall"]
        {
            assert!(error.contains(part), "{error}");
        }
        assert!(with("[limits]\ncode_lifetime_seconds = 600\ncode_digits = 10").is_ok());
    }

    #[test]
    fn an_embedded_carrier_has_no_inbox_and_an_unknown_one_is_refused() {
        assert_eq!(with("[carrier]\nkind = \"embedded\"").expect("a carrier").carrier, CarrierConfig::Embedded);
        assert!(with("[carrier]\nkind = \"pigeon\"").is_err());
        assert!(with("[carrier]\ninbox = true").expect_err("unknown").contains("inbox"));
    }

    #[test]
    fn it_has_no_port_for_browsers() {
        assert!(with("[web]\nlisten = \"127.0.0.1:1\"").expect_err("unknown").contains("unknown field `web`"));
    }
}

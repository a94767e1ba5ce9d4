//! The settings of a service that stands on the roster. Its own `default.toml` is their manual.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use mesh::{
    AdminConfig,
    config::{Bounds, Connections, Secret},
    log::LogConfig,
};
use serde::Deserialize;

/// All settings of one service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// The database; prints masked, for it may hold a password.
    pub database_url: Secret,
    /// How many connections it keeps to a PostgreSQL.
    pub database_connections: Connections,
    /// What it takes on, and how long it waits.
    pub server: mesh::Limits,
    /// Where whoever runs it looks.
    pub admin: AdminConfig,
    /// How to log.
    pub log: LogConfig,
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
}

/// Where keys are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The file of the mesh key, if there is one.
    pub mesh_file: PathBuf,
    /// Whether to make a file that is missing.
    pub create: bool,
}

/// Where the other services are, as URIs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// SSO.
    pub sso: String,
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
    /// How often SSO's public keys are asked for, 10 to 900 s.
    pub refresh: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    issuer: String,
    audience: String,
    deployment: String,
    refresh_seconds: u64,
}

impl TryFrom<RawTokens> for Tokens {
    type Error = String;

    fn try_from(raw: RawTokens) -> Result<Self, String> {
        let RawTokens { issuer, audience, deployment, refresh_seconds } = raw;
        let mut bounds = Bounds::default();
        bounds.hold("tokens.refresh_seconds", refresh_seconds, 10..=900);
        bounds.finish(Self { issuer, audience, deployment, refresh: Duration::from_secs(refresh_seconds) })
    }
}

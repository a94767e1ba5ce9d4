//! Social: the profiles of Plaza's users. SSO tells it who they are; anyone may look, and persons change their own.

mod config;
mod service;

use std::{sync::Arc, time::Duration};

use db::{Db, Migrations, Options};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mesh::{
    Channel, Clock, Deadline, Limits, Router, Server, Shutdown, Stack, Tracer,
    token::{Keyring, Kind, Verifier},
};
use proto::social::v1::{profile_service_server::ProfileServiceServer, user_service_server::UserServiceServer};
use roster::Roster;
use tokio::time::Instant;

pub use crate::config::{Config, DEFAULT, Keys, Peers, Tokens};
use crate::service::{Profiles, Users};

/// The name of this service in the mesh.
pub const NAME: &str = "social";

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// What the edge hands in.
pub struct Deps {
    /// Tells the time.
    pub clock: Clock,
    /// The keys of peers and operators; those of persons are fetched from SSO.
    pub keyring: Keyring,
    /// The way to SSO. It may be down: the keys are fetched when it is back.
    pub sso: Channel,
    /// Whether the database runs on the calling thread, as paused time and simulations want it.
    pub inline: bool,
    /// Makes the spans of its calls.
    pub tracer: Tracer,
    /// Ends the work in the background.
    pub shutdown: Shutdown,
}

/// Why Social does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its bounds.
    #[error("{setting} is {value}; it may be {low} to {high}")]
    Setting {
        /// The setting, as in `default.toml`.
        setting: &'static str,
        /// What it is.
        value: u64,
        /// The least it may be.
        low: u64,
        /// The most it may be.
        high: u64,
    },
    /// The database cannot be opened or migrated.
    #[error("the database of Social cannot be opened")]
    Database(#[from] db::OpenError),
    /// The server stack refuses the services.
    #[error("the services of Social cannot be served")]
    Server(#[from] mesh::server::BuildError),
}

/// Social, started.
pub struct Service {
    router: Router,
    db: Db,
}

/// Opens and migrates the database, and begins to follow SSO's public keys and revocations.
///
/// # Errors
/// Whatever [`StartError`] names. That SSO cannot be reached is no such thing.
pub async fn build(config: Config, deps: Deps) -> Result<Service, StartError> {
    let drain = seconds("drain_seconds", config.drain_seconds, 1, 300)?;
    let refresh = seconds("tokens.refresh_seconds", config.tokens.refresh_seconds, 10, 900)?;
    let options = Options { inline: deps.inline, deadline, ..Options::new(config.database_url.expose()) };
    let db = Db::open(options, Migrations { sqlite: SQLITE, postgres: POSTGRES }).await?;

    let keyring = mesh::keys::follow(deps.keyring, deps.sso.clone());
    let tokens = &config.tokens;
    let verifier =
        Verifier::new(keyring.clone(), &tokens.deployment, &tokens.audience, &tokens.issuer, deps.clock.clone());
    let verifier = Arc::new(verifier);
    let limits = Limits { drain, ..Limits::default() };
    let stack = Stack { verifier: Arc::clone(&verifier), limits, tracer: deps.tracer };
    let roster = Roster::new(db.clone(), deps.clock);
    let (known, reached, counted) = (keyring.clone(), db.clone(), db.clone());
    let router = Server::new(NAME, stack)
        .add(UserServiceServer::new(Users(roster.clone())))
        .add(ProfileServiceServer::new(Profiles(roster)))
        .check("keys", move || std::future::ready(known.has(Kind::Access).then_some(()).ok_or("SSO gave none yet")))
        .check("database", move || {
            let db = reached.clone();
            async move { db.reachable().await }
        })
        .gauges(move || std::future::ready(roster::gauges(&counted, NAME)))
        .build()?;
    tokio::spawn(mesh::revocations::follow(verifier, deps.sso.clone(), deps.shutdown.clone()));
    tokio::spawn(mesh::keys::keep_fresh(keyring, deps.sso, refresh, deps.shutdown));
    Ok(Service { router, db })
}

/// When the call being handled must be over, as the database wants to know it.
fn deadline() -> Option<Instant> {
    mesh::deadline::current().map(Deadline::instant)
}

fn seconds(setting: &'static str, value: u64, low: u64, high: u64) -> Result<Duration, StartError> {
    if !(low..=high).contains(&value) {
        return Err(StartError::Setting { setting, value, low, high });
    }
    Ok(Duration::from_secs(value))
}

impl Service {
    /// What serves the calls. Clones are one service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Ends the work with the database. Calls still under way fail.
    pub async fn close(self) {
        self.db.close().await;
    }
}

//! A service that stands on the roster, from its settings to its last call. Its own are its name, its settings, its migrations and its contract.

use std::{error::Error, path::PathBuf, sync::Arc};

use db::{Db, Migrations, Options};
use mesh::{
    Channel, Clock, Deadline, Random, Router, Server, Shutdown, Stack, Threads, Tracer, Workers,
    process::{Process, Settings},
    token::{Expected, Keyring, Kind, Verifier},
};
use tokio::time::Instant;

use crate::{Config, Roster, metrics};

/// What the edge hands in.
pub struct Deps {
    /// Tells the time.
    pub clock: Clock,
    /// Makes random values.
    pub random: Random,
    /// The keys of peers and operators; those of persons are fetched from SSO.
    pub keyring: Keyring,
    /// The way to SSO. It may be down: the keys are fetched when it is back.
    pub sso: Channel,
    /// Whether the database runs on the calling thread, as paused time and simulations want it.
    pub inline: bool,
    /// What is to go wrong with the database, in tests of faults. Nothing by default.
    pub faults: db::Faults,
    /// Makes the spans of its calls.
    pub tracer: Tracer,
    /// Ends the work in the background.
    pub shutdown: Shutdown,
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened or migrated.
    #[error("the database of {service} cannot be opened")]
    Database {
        /// Whose.
        service: &'static str,
        /// Why not.
        source: db::OpenError,
    },
    /// The server stack refuses the contract.
    #[error("the contract of {service} cannot be served")]
    Server {
        /// Whose.
        service: &'static str,
        /// Why not.
        source: mesh::server::BuildError,
    },
}

/// A service, started.
pub struct Service {
    router: Router,
    db: Db,
    workers: Workers<Channel>,
}

/// Starts the service `name`: opens and migrates the database, and begins to follow SSO's public keys and revocations. `contract` adds the generated
/// servers, which answer from the roster.
///
/// # Errors
/// Whatever [`StartError`] names. That SSO cannot be reached is no such thing.
pub async fn start(
    name: &'static str,
    migrations: Migrations,
    config: Config,
    deps: Deps,
    contract: impl FnOnce(Server, Roster) -> Server,
) -> Result<Service, StartError> {
    let threads = config.database_connections.get();
    let options = Options {
        inline: deps.inline,
        faults: deps.faults,
        deadline,
        threads,
        ..Options::new(config.database_url.expose())
    };
    let opened = Db::open(options, migrations).await;
    let db = opened.map_err(|source| StartError::Database { service: name, source })?;

    let keyring = mesh::keys::follow(deps.keyring, deps.sso.clone());
    let tokens = &config.tokens;
    let verifier = Verifier::new(
        keyring.clone(),
        Expected { deployment: &tokens.deployment, audience: &tokens.audience, issuer: &tokens.issuer },
        deps.clock.clone(),
    );
    let verifier = Arc::new(verifier);
    let stack =
        Stack { verifier: Arc::clone(&verifier), limits: config.server, tracer: deps.tracer, random: deps.random };
    let mut workers = Workers::new(name, Arc::new(deps.sso), deps.shutdown);
    let (known, reached, counted) = (keyring.clone(), db.clone(), db.clone());
    let built = contract(Server::new(name, stack), Roster::new(db.clone(), deps.clock))
        .check("keys", move || std::future::ready(known.has(Kind::Access).then_some(()).ok_or("SSO gave none yet")))
        .check("database", move || {
            let db = reached.clone();
            async move { db.reachable().await }
        })
        .samples(move || std::future::ready(metrics::samples(&counted, name)))
        .samples(workers.panics())
        .build();
    let router = built.map_err(|source| StartError::Server { service: name, source })?;
    let refresh = tokens.refresh;
    workers.spawn("revocations", move |sso, shutdown| {
        mesh::revocations::follow(Arc::clone(&verifier), Channel::clone(&sso), shutdown)
    });
    workers.spawn("keys", move |sso, shutdown| {
        mesh::keys::keep_fresh(keyring.clone(), Channel::clone(&sso), refresh, shutdown)
    });
    Ok(Service { router, db, workers })
}

/// Runs the service `name` as a process of its own until a signal, served by `threads`: `default`, the file and the environment say how, `build` starts it.
///
/// # Errors
/// Settings that do not hold, whatever [`Process::start`] and `build` name, and the socket.
pub async fn serve(
    name: &'static str,
    default: &'static str,
    file: Option<PathBuf>,
    threads: Threads,
    build: impl AsyncFnOnce(Config, Deps) -> Result<Service, StartError>,
) -> Result<(), Box<dyn Error>> {
    let config: Config = mesh::config::load(name, default, file.as_deref())?;
    let settings = Settings {
        log: &config.log,
        telemetry: &config.telemetry,
        listen: config.listen.to_string(),
        admin: &config.admin,
        web: &config.web,
        tls: &config.tls,
        mesh_file: &config.keys.mesh_file,
        create: config.keys.create,
        deployment: &config.tokens.deployment,
        threads,
    };
    let process = Process::start(name, settings).await?;
    let deps = Deps {
        clock: process.clock.clone(),
        random: process.random.clone(),
        keyring: process.keyring(),
        sso: process.connect("sso", &config.peers.sso)?,
        inline: false,
        faults: db::Faults::default(),
        tracer: process.tracer.clone(),
        shutdown: process.shutdown.clone(),
    };
    // It waits for its database.
    let Some(service) = process.shutdown.unless_begun(build(config, deps)).await else { return Ok(()) };
    let service = service?;
    process.serve(service.router(), service.close()).await?;
    Ok(())
}

/// When the call being handled must be over, as the database wants to know it.
fn deadline() -> Option<Instant> {
    mesh::deadline::current().map(Deadline::instant)
}

impl Service {
    /// What serves the calls. Clones are one service.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Waits for the workers, which end once the shutdown handed to [`start`] has begun, and ends the work with the database. Calls still under way fail.
    pub async fn close(self) {
        self.workers.ended().await;
        self.db.close().await;
    }
}

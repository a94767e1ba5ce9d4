//! SSO: accounts, passwords, sessions and tokens, and that every other service knows every user.
//!
//! `service` (the wire) → a flow (`signup`, `otp`, `signin`, `create`, `provision`) → `store` (the database); `peers` calls the others.

mod account;
mod audit;
mod challenge;
mod change;
mod config;
mod create;
mod delete;
mod digest;
mod error;
mod fresh;
mod gate;
mod hashing;
mod identifier;
mod identifiers;
mod introspect;
mod janitor;
mod metrics;
mod model;
mod notices;
mod operate;
mod origin;
mod otp;
mod owed;
mod password;
mod passwordless;
mod peers;
mod provision;
mod reaper;
mod reconcile;
mod recovery;
mod refresh;
mod revocations;
mod schema;
mod service;
mod session;
mod signin;
mod signup;
mod sso;
mod step;
mod store;
mod tally;
mod throttle;
mod tokens;
mod username;
mod verify;

use std::{sync::Arc, time::Duration};

use db::{
    Db,
    work::{Duty as _, Tally},
};
use mesh::{
    Channel, Clock, Random, Router, Shutdown, Stack, Tracer, Workers, deadline,
    token::{Expected, Keyring, Kind, Verifier},
};
use tokio::sync::watch;

pub use config::{Audit, Config, DEFAULT, Keys, Peers, Sessions, SignIn, Throttle, Tokens};
pub use db::Faults as StoreFaults;
pub use digest::MasterKey;
pub use hashing::Config as HashingConfig;

/// The name of this service in the mesh.
pub const NAME: &str = "sso";

/// What SSO needs from its surroundings.
pub struct Deps {
    /// The time.
    pub clock: Clock,
    /// Chance: keys, ids, salts, jitter.
    pub random: Random,
    /// What secrets at rest are sealed under.
    pub master_key: MasterKey,
    /// The keys of peers and operators; SSO adds its own.
    pub keyring: Keyring,
    /// SMS.
    pub sms: Channel,
    /// Social.
    pub social: Channel,
    /// Blog.
    pub blog: Channel,
    /// Whether database and hashing run on the calling thread: for paused time and simulations.
    pub inline: bool,
    /// What is to go wrong with the database, in tests of faults. Nothing by default.
    pub faults: StoreFaults,
    /// Makes the spans of its calls.
    pub tracer: Tracer,
    /// Ends the background workers.
    pub shutdown: Shutdown,
}

/// Why SSO did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread to hash passwords on.
    #[error("sso: no thread to hash passwords on: {0}")]
    Threads(std::io::Error),
    /// The database.
    #[error("sso: {0}")]
    Store(#[from] db::OpenError),
    /// What the database holds cannot be read.
    #[error("sso: {0}")]
    Read(#[from] db::Error),
    /// There is no key to sign with.
    #[error("sso: {0}")]
    Key(String),
    /// The contract.
    #[error("sso: {0}")]
    Contract(#[from] mesh::server::BuildError),
}

impl From<error::Error> for StartError {
    fn from(error: error::Error) -> Self {
        match error {
            error::Error::Store(error) => Self::Read(error),
            other => Self::Key(other.to_string()),
        }
    }
}

/// SSO, started.
pub struct Service {
    sso: Arc<sso::Sso>,
    router: Router,
    workers: Workers<sso::Sso>,
}

/// Opens the database, reads the signing key and starts the workers.
///
/// # Errors
/// Whatever [`StartError`] names.
pub async fn build(config: Config, deps: Deps) -> Result<Service, StartError> {
    let db = open(&config, &deps).await?;
    let hasher = hasher(&config, &deps, &db).await?;
    let Deps { clock, random, master_key, keyring, sms, social, blog, tracer, shutdown, .. } = deps;
    config.keys.operators.join(&keyring);
    let audit = audit::Audit::new(clock.clone(), random.clone());
    let issuer = tokens::Issuer::open(
        &db,
        &master_key,
        &keyring,
        audit.clone(),
        clock.clone(),
        random.clone(),
        config.tokens.clone(),
    );
    let issuer = issuer.await?;
    let Tokens { deployment, audience, issuer: issued_by, .. } = &config.tokens;
    // A token that another replica has signed with a key of a moment ago.
    let newer = issuer.clone();
    let keyring = keyring.with_refresh(Kind::Access, move || {
        let issuer = newer.clone();
        async move { issuer.load().await.ok() }
    });
    let verifier =
        Arc::new(Verifier::new(keyring, Expected { deployment, audience, issuer: issued_by }, clock.clone()));
    let stack = Stack { verifier: Arc::clone(&verifier), limits: config.server, tracer, random: random.clone() };
    let peers = peers::Peers::new(sms, social, blog);
    let sessions = session::Limits::new(&config.sessions, &config.tokens);
    let provisioner = Arc::new(provision::Provisioner {
        db: db.clone(),
        clock: clock.clone(),
        random: random.clone(),
        peers: peers.clone(),
        gates: gate::Gates::new(),
        tally: Tally::new(
            provision::Provisioner::NAME,
            model::Target::ALL.map(|target| (target as i16, target.name())),
        ),
        audit: audit.clone(),
        sessions,
    });
    let notices = Arc::new(notices::Notices::new(db.clone(), clock.clone(), random.clone(), peers.clone()));
    let digest_key = master_key.derive("plaza/sso/request-digests");
    let refresh_key = master_key.derive("plaza/sso/refresh-tokens");
    let throttle_key = master_key.derive("plaza/sso/throttle");
    let throttle = config.throttle.clone();
    let sso = Arc::new(sso::Sso {
        db,
        clock,
        random,
        hasher,
        issuer,
        verifier,
        peers,
        provisioner,
        notices,
        digest_key,
        refresh_key,
        sessions,
        throttle_key,
        throttle,
        code_sign_in: config.sign_in.by_code,
        audit,
        audit_kept: Duration::from_secs(config.audit.keep_days * 24 * 3600),
        ended: watch::Sender::new(()),
        shutdown: shutdown.clone(),
    });
    let mut workers = Workers::new(NAME, Arc::clone(&sso), shutdown);
    let router = service::router(&sso, stack, config.proxies, workers.panics())?;
    begin(&mut workers);
    Ok(Service { sso, router, workers })
}

async fn open(config: &Config, deps: &Deps) -> Result<Db, db::OpenError> {
    let options = db::Options {
        inline: deps.inline,
        faults: deps.faults.clone(),
        deadline: || deadline::current().map(mesh::Deadline::instant),
        threads: config.database_connections.get(),
        ..db::Options::new(config.database_url.expose())
    };
    Db::open(options, store::MIGRATIONS).await
}

/// The hasher, told of the highest cost among the hashes that are stored.
async fn hasher(config: &Config, deps: &Deps, db: &Db) -> Result<hashing::Hasher, StartError> {
    let pepper = deps.master_key.derive("plaza/sso/pepper");
    let hasher = hashing::Hasher::start(&config.passwords, pepper, deps.random.clone(), deps.inline)
        .map_err(StartError::Threads)?;
    let highest = || db.read("highest_cost", |c| Ok::<_, db::Error>(store::passwords::highest_cost(c)?));
    let highest = db.at_the_start(highest, db::Error::is_away).await?;
    hasher.reckon_with(highest.and_then(|cost| cost.parse().ok()).unwrap_or_default());
    Ok(hasher)
}

/// What SSO does without being asked.
fn begin(workers: &mut Workers<sso::Sso>) {
    for target in model::Target::ALL {
        workers.spawn("provision", move |sso, shutdown| {
            db::work::attend(Arc::clone(&sso.provisioner), target as i16, async move { shutdown.begun().await })
        });
        workers.spawn("reconcile", move |sso, shutdown| reconcile::work(sso, target, shutdown));
    }
    workers.spawn("tell", |sso, shutdown| {
        db::work::attend(Arc::clone(&sso.notices), store::notices::SMS, async move { shutdown.begun().await })
    });
    workers.spawn("reap", reaper::work);
    workers.spawn("rotate_keys", |sso, shutdown| sso.issuer.clone().work(shutdown));
    workers.spawn("write_audit", audit::work);
    workers.spawn("forget", janitor::work);
}

impl Service {
    /// SSO's calls, behind the server stack.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Waits for the workers, which end once the shutdown handed to [`build`] has begun, and closes the database.
    pub async fn close(self) {
        let Self { sso, router, workers } = self;
        workers.ended().await;
        drop(router);
        sso.audit.flush(&sso.db).await;
        sso.db.clone().close().await;
    }
}

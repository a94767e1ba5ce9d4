//! SMS: one-time codes and notices, their delivery, and the limits that keep both honest. It has the codes, its callers have the
//! verifications: SSO opens one by an id of its own, and asks for it by that id.

mod acknowledge;
pub mod carrier;
mod code;
pub mod config;
mod core;
mod delivery;
mod destination;
mod development;
mod error;
mod limits;
mod message;
mod notice;
mod schema;
mod send;
mod service;
mod store;
mod sweep;
mod verify;

use std::{io, sync::Arc};

use db::{
    Db, Migrations,
    work::{Duty as _, Tally},
};
use diesel_migrations::embed_migrations;
use mesh::{Clock, Random, Router, Server, Shutdown, Stack, Workers, server::BuildError};
use proto::sms::v1::{
    inbox_service_server::InboxServiceServer, message_service_server::MessageServiceServer,
    otp_service_server::OtpServiceServer,
};

use crate::{
    carrier::Carrier,
    code::Keys,
    core::Core,
    development::{DevelopmentCarrier, Inbox},
    service::{inbox::Messages, message::Notices, otp::Otp},
};
pub use crate::{
    code::{Code, CodeError, Reference},
    config::{CarrierConfig, Config},
    destination::{Destination, DestinationError},
    error::DOMAIN,
};

/// The name of this service in the mesh.
pub const NAME: &str = "sms";

const MIGRATIONS: Migrations =
    Migrations { sqlite: embed_migrations!("migrations/sqlite"), postgres: embed_migrations!("migrations/postgres") };

/// What SMS is handed: everything it may not take from its surroundings itself.
pub struct Deps {
    /// Tells the time.
    pub clock: Clock,
    /// Draws codes and references.
    pub random: Random,
    /// 32 secret bytes. The keys that seal codes are derived from it.
    pub master_key: [u8; 32],
    /// The server stack.
    pub stack: Stack,
    /// The carrier, for [`CarrierConfig::Embedded`] alone.
    pub carrier: Option<Arc<dyn Carrier>>,
    /// Whether database jobs run on the calling thread: under paused time and in simulations.
    pub inline: bool,
    /// What is to go wrong with the database, in tests of faults. Nothing by default.
    pub faults: db::Faults,
    /// Stops what runs in the background.
    pub shutdown: Shutdown,
}

/// Why SMS did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error("database of sms: {0}")]
    Database(#[from] db::OpenError),
    /// The server cannot be built.
    #[error(transparent)]
    Server(#[from] BuildError),
    /// `carrier.kind = "embedded"` and no carrier was handed in.
    #[error("carrier.kind is \"embedded\", and this program has no carrier: choose another kind")]
    NoCarrier,
    /// A carrier was handed in for nothing: messages would go to the inbox where they were meant to go out.
    #[error("this program has a carrier, and carrier.kind is not \"embedded\"")]
    UnusedCarrier,
}

/// SMS, running. It is spoken to through its router.
pub struct Service {
    router: Router,
    db: Db,
    workers: Workers<Core>,
}

impl Service {
    /// The gRPC services, for a listener or for a channel in memory.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Waits for the messages under way, of which there are no more once the shutdown handed to [`build`] has begun, and ends the work with the
    /// database. Calls still under way fail.
    pub async fn close(self) {
        self.workers.ended().await;
        self.db.close().await;
    }
}

/// Starts SMS: opens and migrates its database, builds its server, and begins to deliver what is owed and to delete old rows, until the shutdown.
///
/// # Errors
/// See [`StartError`].
pub async fn build(config: Config, deps: Deps) -> Result<Service, StartError> {
    let (carrier, inbox) = carrier(&config.carrier, &deps)?;
    let options = db::Options {
        faults: deps.faults.clone(),
        inline: deps.inline,
        deadline: || mesh::deadline::current().map(mesh::Deadline::instant),
        threads: config.database_connections.get(),
        ..db::Options::new(config.database_url.expose())
    };
    let db = Db::open(options, MIGRATIONS).await?;
    let core = Arc::new(Core {
        clock: deps.clock,
        random: deps.random,
        db: db.clone(),
        keys: Keys::derive(&deps.master_key),
        limits: Arc::new(config.limits.limits),
        code_digits: config.limits.code_digits,
        carrier,
        carrier_timeout: config.delivery.timeout,
        tally: Tally::new(Core::NAME, delivery::CARRIERS),
    });
    let mut workers = Workers::new(NAME, Arc::clone(&core), deps.shutdown);
    let (reached, counted) = (db.clone(), Arc::clone(&core));
    let mut server = Server::new(NAME, deps.stack)
        .add(OtpServiceServer::new(Otp(Arc::clone(&core))))
        .add(MessageServiceServer::new(Notices(core)))
        .check("database", move || {
            let db = reached.clone();
            async move { db.reachable().await }
        })
        .samples(move || {
            let core = Arc::clone(&counted);
            async move { delivery::samples(&core).await }
        })
        .samples(workers.panics());
    if let Some(inbox) = inbox {
        tracing::warn!("the development carrier shows codes to anyone who asks: not for production");
        server = server.add(InboxServiceServer::new(Messages(inbox)));
    }
    let router = server.build()?;
    let every = config.sweep.every;
    workers.spawn("sweep", move |core, shutdown| sweep::run(core, every, shutdown));
    for (carrier, _) in delivery::CARRIERS {
        workers.spawn("deliver", move |core, shutdown| {
            db::work::attend(core, carrier, async move { shutdown.begun().await })
        });
    }
    Ok(Service { router, db, workers })
}

/// The carrier, and its inbox if it is the development carrier.
fn carrier(config: &CarrierConfig, deps: &Deps) -> Result<(Arc<dyn Carrier>, Option<Inbox>), StartError> {
    match (config, &deps.carrier) {
        (CarrierConfig::Embedded, Some(carrier)) => Ok((Arc::clone(carrier), None)),
        (CarrierConfig::Embedded, None) => Err(StartError::NoCarrier),
        (CarrierConfig::Development { .. }, Some(_)) => Err(StartError::UnusedCarrier),
        (CarrierConfig::Development { console }, None) => {
            let inbox = Inbox::default();
            let console = console.then(|| Box::new(io::stdout()) as Box<dyn io::Write + Send>);
            let carrier = DevelopmentCarrier::new(inbox.clone(), deps.clock.clone(), console);
            Ok((Arc::new(carrier), Some(inbox)))
        }
    }
}

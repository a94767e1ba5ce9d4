//! Onebox over sockets.

use std::{collections::BTreeMap, io, net::SocketAddr};

use mesh::{
    Clock, Port, Shutdown, Threads, Tls, Web, files, server::BindError, shutdown, tls::TlsError, web::WebError,
};
use tokio::task::JoinSet;

use crate::{Config, Onebox, Part, Running};

/// Why onebox stopped serving before it was told to.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be served", .part.map_or("a port", Part::name))]
pub struct ServeError {
    /// Whose; nobody's if a task panicked.
    part: Option<Part>,
    source: io::Error,
}

/// Why the ports are not opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificates that do not hold, or plain text where other machines can reach it.
    #[error("{part}: {source}")]
    Tls {
        /// Whose port.
        part: Part,
        /// Why not.
        source: TlsError,
    },
    /// The port for browsers.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// The ports of all parts, and the one for browsers, taken.
#[derive(Debug)]
pub struct Ports {
    parts: BTreeMap<Part, (SocketAddr, Port)>,
    web: Option<Web>,
}

impl Ports {
    /// Takes the port of each part, to be served by `threads`. Take them before the data folder: whoever has the ports is the one who may migrate.
    ///
    /// # Errors
    /// A port that is taken, an address that cannot be listened on, certificates that do not hold, or plain text where other machines can reach
    /// it: the text names it.
    pub async fn take(config: &Config, clock: &Clock, threads: &Threads) -> Result<Self, PortError> {
        let mut ports = BTreeMap::new();
        for part in Part::ALL {
            let (named, settings) = (config.listen(part).to_string(), config.tls(part));
            let refused = |source| PortError::Tls { part, source };
            let tls = Tls::load(part.name(), settings, clock).map_err(refused)?;
            let listener = mesh::bind(&named).await?;
            let address = listener.local_addr().map_err(|source| BindError::Refused { address: named, source })?;
            if tls.is_none() {
                settings.allows_plain_listener(address).map_err(refused)?;
            }
            if part == Part::Sms && !address.ip().is_loopback() {
                tracing::warn!(%address, "not on loopback, and SMS shows codes to anyone who asks");
            }
            ports.insert(part, (address, Port { listener, tls, threads: threads.clone() }));
        }
        let web = Web::take(&config.web, config.tls(Part::Sso), threads.clone()).await?;
        Ok(Self { parts: ports, web })
    }

    /// Where each part listens.
    pub fn addresses(&self) -> BTreeMap<Part, SocketAddr> {
        self.parts.iter().map(|(part, (address, _))| (*part, *address)).collect()
    }
}

impl Onebox {
    /// Serves all parts until `shutdown` begins, lets calls under way end within the configured bound, and stops.
    ///
    /// # Errors
    /// If a part cannot be served; the others are drained then.
    pub async fn serve(self, ports: Ports, shutdown: Shutdown) -> Result<(), ServeError> {
        let listeners = ports.parts.len() + usize::from(ports.web.is_some());
        files::warn_below(listeners as u64 * u64::from(self.config().sso.server.connections));
        let (mut serving, draining) = (JoinSet::new(), Shutdown::manual());
        for (part, (_, port)) in ports.parts {
            let Some(router) = self.router(part) else { continue };
            let draining = draining.clone();
            if let Some(tls) = &port.tls {
                tls.watch(draining.clone());
            }
            serving.spawn(async move {
                router.serve(port, draining).await.map_err(|source| ServeError { part: Some(part), source })
            });
        }
        if let Some(web) = ports.web {
            let routers = Part::ALL.into_iter().filter_map(|part| self.router(part)).collect();
            let draining = draining.clone();
            serving.spawn(async move {
                web.serve(routers, draining).await;
                Ok(())
            });
        }
        // Work in the background ends first, and SSO's last: whoever follows SSO knows then that it is not lost, but that all stop.
        let parts: Vec<_> = self.parts.values().rev().map(Running::shutdown).collect();
        let told = shutdown.clone();
        serving.spawn(async move {
            told.begun().await;
            parts.iter().chain([&draining]).for_each(Shutdown::begin);
            Ok(())
        });
        let mut outcome = Ok(());
        while let Some(ended) = serving.join_next().await {
            // A task that panicked has ended too, and so has what it served.
            let ended = ended.unwrap_or_else(|error| Err(ServeError { part: None, source: io::Error::other(error) }));
            outcome = outcome.and(ended);
            shutdown.begin();
        }
        shutdown::bounded(Box::pin(self.stop())).await;
        outcome
    }
}

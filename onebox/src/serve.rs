//! Onebox over sockets.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use mesh::{Shutdown, server::BindError};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use crate::{Config, Onebox, Part};

/// How long databases and workers may take to end after the last call has.
const CLOSING: Duration = Duration::from_secs(5);

/// Why onebox stopped serving before it was told to.
#[derive(Debug, thiserror::Error)]
#[error("{part} cannot be served")]
pub struct ServeError {
    part: Part,
    source: io::Error,
}

/// The ports of all parts, taken.
#[derive(Debug)]
pub struct Ports(BTreeMap<Part, (TcpListener, SocketAddr)>);

impl Ports {
    /// Takes the port of each part. Take them before the data folder: whoever has the ports is the one who may migrate.
    ///
    /// # Errors
    /// A port that is taken, or an address that cannot be listened on: the text names it.
    pub async fn take(config: &Config) -> Result<Self, BindError> {
        let mut ports = BTreeMap::new();
        for part in Part::ALL {
            let address = config.listen(part);
            let listener = mesh::bind(&address).await?;
            let bound = listener.local_addr().map_err(|source| BindError::Refused { address, source })?;
            if !bound.ip().is_loopback() {
                tracing::warn!(%part, %bound, "not on loopback: calls are plain text, and SMS shows codes to anyone who asks");
            }
            ports.insert(part, (listener, bound));
        }
        Ok(Self(ports))
    }

    /// Where each part listens.
    pub fn addresses(&self) -> BTreeMap<Part, SocketAddr> {
        self.0.iter().map(|(part, (_, address))| (*part, *address)).collect()
    }
}

impl Onebox {
    /// Serves all parts until `shutdown` begins, lets calls under way end within the configured bound, and stops.
    ///
    /// # Errors
    /// If a part cannot be served; the others are drained then.
    pub async fn serve(self, ports: Ports, shutdown: Shutdown) -> Result<(), ServeError> {
        let mut serving = JoinSet::new();
        for (part, (listener, _)) in ports.0 {
            let Some(router) = self.router(part) else { continue };
            let shutdown = shutdown.clone();
            serving.spawn(async move {
                router.serve(listener, shutdown).await.map_err(|source| ServeError { part, source })
            });
        }
        let mut outcome = Ok(());
        while let Some(ended) = serving.join_next().await {
            // A task that panicked has ended too, and so has what it served.
            let ended =
                ended.unwrap_or_else(|error| Err(ServeError { part: Part::Sso, source: io::Error::other(error) }));
            outcome = outcome.and(ended);
            shutdown.begin();
        }
        if timeout(CLOSING, self.stop()).await.is_err() {
            tracing::warn!("the databases were not closed in time; nothing that was answered is lost");
        }
        outcome
    }
}

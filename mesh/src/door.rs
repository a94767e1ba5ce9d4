//! Where connections come in.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::seldom::Seldom;

/// How long to wait after the operating system refused a connection, most often for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener that takes so many connections at a time; more wait with the operating system.
pub(crate) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    refusals: Seldom,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)), refusals: Seldom::default() }
    }

    /// The next connection, and its place, which is to be kept as long as it lasts. Cancel-safe.
    pub(crate) async fn next(&self) -> (TcpStream, OwnedSemaphorePermit) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    if let Some(left_out) = self.refusals.may() {
                        tracing::warn!(%error, left_out, "a connection was not accepted");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

//! Stopping: one switch that everything long-lived watches.

use std::{io, process, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};

use crate::stderr;

/// How long databases and workers may take to end after the last call has.
const CLOSING: Duration = Duration::from_secs(5);

/// The switch. Clones are one switch; it goes one way.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// A switch that only [`Shutdown::begin`] throws, for tests and embedding.
    pub fn manual() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// A switch that SIGINT and SIGTERM throw too. A second signal ends the process at once, with code 130.
    ///
    /// # Errors
    /// If the operating system refuses the handlers.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::manual();
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let begin = shutdown.clone();
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                if first {
                    tracing::info!("stopping; a second signal stops at once");
                    begin.begin();
                }
            }
            stderr::flush();
            process::exit(130)
        });
        Ok(shutdown)
    }

    /// Throws the switch.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Tells whether the switch is thrown, and when it is.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Waits until the switch is thrown. Cancel-safe.
    pub async fn begun(&self) {
        // The sender lives in self, so waiting ends with the value alone.
        let _ = self.watch().wait_for(|begun| *begun).await;
    }

    /// Waits for `work`, but no longer than until the switch is thrown: then it is dropped where it stands, and the answer is `None`.
    pub async fn unless_begun<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.begun() => None,
        }
    }

    /// Waits until a switch that there may be is thrown.
    pub(crate) async fn any_begun(switch: Option<Self>) {
        match switch {
            Some(switch) => switch.begun().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the switch is thrown.
    pub fn is_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs `close`, which closes what a process has open after its last call, for 5 s at most: an end has a bound.
pub async fn bounded(close: impl Future<Output = ()>) {
    if timeout(CLOSING, close).await.is_err() {
        tracing::warn!("the process ends before all was closed; nothing that was answered is lost");
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_close_is_not_waited_for() {
        let began = Instant::now();
        bounded(pending()).await;
        assert_eq!(began.elapsed(), CLOSING);
    }
}

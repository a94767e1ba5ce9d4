//! The little runtime every connection brings along: the thread that uses the connection drives it, and nobody else.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A runtime with one connection on it and a limit on how long the connection may be waited for.
pub(crate) struct Driver {
    runtime: Runtime,
    connection: Mutex<Option<JoinHandle<()>>>,
    limit: Mutex<Option<Instant>>,
}

impl Driver {
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, connection: Mutex::default(), limit: Mutex::default() })
    }

    /// Drives `connection` whenever something is waited for.
    pub(crate) fn drive(&self, connection: impl Future<Output = ()> + Send + 'static) {
        *held(&self.connection) = Some(self.runtime.spawn(connection));
    }

    /// From now on nothing is waited for beyond `limit`, if there is one.
    pub(crate) fn limit(&self, limit: Option<Instant>) {
        *held(&self.limit) = limit;
    }

    /// Waits for `future`. Past the limit the connection is dropped, which ends whatever waits for its answer: without
    /// that, a server that is silent but not gone would keep the thread for ever.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        let limit = *held(&self.limit);
        self.runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            if let Some(limit) = limit {
                tokio::select! {
                    biased;
                    output = &mut future => return output,
                    () = tokio::time::sleep_until(limit.into()) => {}
                }
                if let Some(connection) = held(&self.connection).take() {
                    connection.abort();
                }
            }
            future.await
        })
    }

    /// Lets the connection say good-bye, for a moment at most. Call it when the client is gone.
    pub(crate) fn part(&self) {
        if let Some(connection) = held(&self.connection).take() {
            let _ = self.runtime.block_on(async { tokio::time::timeout(Duration::from_millis(100), connection).await });
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` on a thread of its own while this one waits: a runtime cannot be waited for from within another. The time is the
/// caller's all the same, also where it stands still.
pub(crate) fn apart<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    let caller = Handle::try_current().ok();
    let run = || {
        let _entered = caller.as_ref().map(Handle::enter);
        f()
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

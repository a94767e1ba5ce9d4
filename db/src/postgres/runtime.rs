//! The little runtime every connection brings along: the thread that uses the connection drives it, and nobody else.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A runtime with one connection on it and a limit on how long the connection may be waited for.
pub(crate) struct Driver {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    connection: Mutex<Option<JoinHandle<()>>>,
    limit: Mutex<Option<Instant>>,
}

impl Driver {
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime: Some(runtime), connection: Mutex::default(), limit: Mutex::default() })
    }

    /// Drives `connection` whenever something is waited for.
    pub(crate) fn drive(&self, connection: impl Future<Output = ()> + Send + 'static) {
        *held(&self.connection) = Some(self.runtime().spawn(connection));
    }

    /// From now on nothing is waited for beyond `limit`, if there is one.
    pub(crate) fn limit(&self, limit: Option<Instant>) {
        *held(&self.limit) = limit;
    }

    /// Waits for `future`. Past the limit the connection is dropped, which ends whatever waits for its answer: without
    /// that, a server that is silent but not gone would keep the thread for ever.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        let limit = *held(&self.limit);
        self.runtime().block_on(async {
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
            let _ =
                self.runtime().block_on(async { tokio::time::timeout(Duration::from_millis(100), connection).await });
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the drop")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A host's name may be looked up for longer than anybody waits for it, and nothing ends that: its thread is left to it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As the system looks up a name: nothing ends it.
    const LOOKS_UP: Duration = Duration::from_secs(5);

    #[test]
    fn a_name_that_is_not_found_in_time_holds_up_nobody() {
        let (_found, name) = std::sync::mpsc::channel::<()>();
        let (began, driver) = (Instant::now(), Driver::new().expect("a runtime"));
        let lookup = async { tokio::task::spawn_blocking(move || name.recv_timeout(LOOKS_UP)).await };
        let late = driver.wait(async { tokio::time::timeout(Duration::from_millis(20), lookup).await });
        late.expect_err("it takes too long");
        drop(driver);
        assert!(began.elapsed() < LOOKS_UP / 2, "{:?}", began.elapsed());
    }
}

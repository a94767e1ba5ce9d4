//! What a service does in the background, for as long as it runs.

use std::{
    fmt,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};

use crate::{metrics::Sample, shutdown::Shutdown};

/// From the panic of a worker to its next beginning.
const PAUSE: Duration = Duration::from_secs(1);

/// The workers of a service. One that panics begins again a second later, and is counted: otherwise its job would be done by nobody, in a process that is ready
/// for all others. Dropping this ends them where they stand.
pub struct Workers<S> {
    service: &'static str,
    state: Arc<S>,
    shutdown: Shutdown,
    running: JoinSet<()>,
    panics: Arc<AtomicU64>,
}

impl<S: Send + Sync + 'static> Workers<S> {
    /// None yet, of `service`, which shares `state` with them until `shutdown`.
    pub fn new(service: &'static str, state: Arc<S>, shutdown: Shutdown) -> Self {
        Self { service, state, shutdown, running: JoinSet::new(), panics: Arc::default() }
    }

    /// Begins a worker, and begins it again after a panic. It is to end by itself once the shutdown has begun. `begin` is called before this returns.
    pub fn spawn<W>(&mut self, worker: &'static str, begin: impl Fn(Arc<S>, Shutdown) -> W + Send + 'static)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (service, state, shutdown) = (self.service, Arc::clone(&self.state), self.shutdown.clone());
        let (mut work, panics) = (begin(Arc::clone(&state), shutdown.clone()), Arc::clone(&self.panics));
        self.running.spawn(async move {
            loop {
                // A panic ends the task it is in, so the worker has one to itself.
                let mut task = JoinSet::new();
                task.spawn(work);
                let Some(Err(_)) = task.join_next().await else { return };
                panics.fetch_add(1, Relaxed);
                tracing::error!(service, worker, "a worker panicked, and begins again");
                if shutdown.unless_begun(sleep(PAUSE)).await.is_none() {
                    return;
                }
                work = begin(Arc::clone(&state), shutdown.clone());
            }
        });
    }

    /// How often a worker panicked so far, for [`Server::samples`](crate::Server::samples).
    pub fn panics(&self) -> impl Fn() -> Ready<Vec<Sample>> + Send + Sync + use<S> {
        let (service, panics) = (self.service, Arc::clone(&self.panics));
        move || {
            ready(vec![Sample {
                name: "plaza_worker_panics_total",
                help: "How often what runs in the background panicked, and began again.",
                labels: vec![("service", service.to_owned())],
                value: panics.load(Relaxed) as f64,
                buckets: Vec::new(),
            }])
        }
    }

    /// Waits for all of them, which end once the shutdown has begun.
    pub async fn ended(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

impl<S> fmt::Debug for Workers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("service", &self.service).field("running", &self.running.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_panics_begins_again_and_ends_with_the_service() {
        let (shutdown, begun) = (Shutdown::manual(), Arc::new(AtomicU64::new(0)));
        let mut workers = Workers::new("echo", Arc::clone(&begun), shutdown.clone());
        workers.spawn("often", |begun, shutdown| async move {
            assert!(begun.fetch_add(1, Relaxed) >= 3, "on purpose");
            shutdown.begun().await;
        });
        let panics = workers.panics();
        sleep(Duration::from_secs(10)).await;
        assert_eq!((begun.load(Relaxed), panics().await[0].value), (4, 3.0));
        shutdown.begin();
        workers.ended().await;
        assert_eq!(begun.load(Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_begins_once_the_shutdown_has() {
        let (shutdown, before) = (Shutdown::manual(), Instant::now());
        let mut workers = Workers::new("echo", Arc::new(()), shutdown.clone());
        workers.spawn("once", |_, _| async { panic!("on purpose") });
        shutdown.begin();
        workers.ended().await;
        assert!(before.elapsed() < PAUSE);
    }
}

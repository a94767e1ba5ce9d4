//! What goes on without any call: the name is resolved, each address is connected to, and all are judged.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tonic::Status;

use super::{
    Shared, Task,
    connection::Connection,
    outlier::{self, Tally},
    state::{Endpoint, Phase},
};
use crate::{
    backoff::{Backoff, Growth, jittered},
    channel::{
        error::normalise,
        socket::{self, Proof},
    },
    failure::{Failure, chain},
    tls,
};

/// How often a name is resolved although nothing fails.
const RESOLUTION: Duration = Duration::from_secs(30);
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between resolutions that fail, and the shortest between any two.
const RESOLVE: Growth = Growth { first: Duration::from_secs(1), factor: 1.6, longest: RESOLUTION };
/// The pauses between connections to one address, each from the beginning of the one before.
const RECONNECT: Growth = Growth { first: Duration::from_millis(50), factor: 1.6, longest: Duration::from_secs(3) };
/// A connection that lasts so long was a good one although no call was answered on it.
const SETTLED: Duration = Duration::from_secs(1);
/// The most addresses of one callee that are connected to.
const MOST: usize = 64;

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(work).abort_handle())
}

/// Begins to resolve and to judge.
pub(super) fn start(shared: &Arc<Shared>) -> Task {
    let shared = Arc::clone(shared);
    spawn(async move {
        tokio::join!(resolve(&shared), judge(&shared));
    })
}

async fn judge(shared: &Shared) {
    let mut ticks = interval_at(Instant::now() + outlier::INTERVAL, outlier::INTERVAL);
    loop {
        ticks.tick().await;
        let ejected = shared.update(|state| state.judge(Instant::now()));
        shared.counts.ejected_in_time.fetch_add(ejected, Relaxed);
    }
}

async fn resolve(shared: &Arc<Shared>) {
    // Without a name there is nothing to resolve: calls fail for it.
    let Ok(target) = &shared.target else { return };
    let random = &shared.options.random;
    let mut pauses = Backoff::new(RESOLVE);
    loop {
        let began = Instant::now();
        let looked_up = shared.options.network.resolve(target.host(), target.port());
        let next = match timeout(PATIENCE, looked_up).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => {
                shared.take(addresses);
                pauses.reset();
                jittered(RESOLUTION, random)
            }
            Ok(Ok(_)) => shared.unresolved("no address", &mut pauses),
            Ok(Err(error)) => shared.unresolved(&error.to_string(), &mut pauses),
            Err(_) => shared.unresolved("no answer in time", &mut pauses),
        };
        tokio::select! {
            () = sleep_until(began + next) => {}
            // A callee in trouble does not turn into a flood of questions.
            () = async { tokio::join!(shared.stale.notified(), sleep(RESOLVE.first)); } => {}
        }
    }
}

impl Shared {
    /// Notes that the name gave no address. What it gave before still holds: a resolver in trouble is no reason to leave callees.
    fn unresolved(&self, why: &str, pauses: &mut Backoff) -> Duration {
        tracing::debug!(callee = self.callee, why, "not resolved");
        let status = Failure::unreachable(format!("{} was not found: {why}", self.callee)).into();
        self.update(|state| state.unresolved = Some(status));
        pauses.next(&self.options.random)
    }

    /// Connects to the addresses that are new, and leaves those that are gone: calls on them go on.
    fn take(self: &Arc<Self>, addresses: Vec<SocketAddr>) {
        // Resolvers list them in another order each time.
        let ranked: BTreeSet<_> = addresses.into_iter().map(|address| (self.rank(address), address)).collect();
        let addresses: BTreeSet<_> = ranked.into_iter().take(MOST).map(|(_, address)| address).collect();
        self.update(|state| {
            state.unresolved = None;
            state.endpoints.retain(|endpoint| addresses.contains(&endpoint.address));
            for address in addresses {
                if state.find(address).is_none() {
                    let tally = Arc::default();
                    let task = spawn(keep(Arc::clone(self), address, Arc::clone(&tally)));
                    let ejection = outlier::Ejection::default();
                    state.endpoints.push(Endpoint { address, tally, phase: Phase::Connecting, ejection, _task: task });
                }
            }
        });
    }

    /// Which addresses come first if there are too many: always the same here, whatever others come and go, and others in another process.
    fn rank(&self, address: SocketAddr) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, address).hash(&mut hasher);
        hasher.finish()
    }

    fn set(&self, address: SocketAddr, phase: Phase) {
        self.update(|state| {
            if let Some(endpoint) = state.find(address) {
                endpoint.phase = phase;
            }
        });
    }
}

/// Keeps a connection to one address.
async fn keep(shared: Arc<Shared>, address: SocketAddr, tally: Arc<Tally>) {
    let mut pauses = Backoff::new(RECONNECT);
    loop {
        let began = Instant::now();
        let phase = match connect(&shared, address, &tally).await {
            Ok(connection) => {
                shared.counts.connected.fetch_add(1, Relaxed);
                shared.set(address, Phase::Ready(Arc::clone(&connection)));
                connection.ended().await;
                shared.counts.lost.fetch_add(1, Relaxed);
                // One that takes connections and drops them is not dialled in a loop.
                if connection.was_of_use() || began.elapsed() >= SETTLED {
                    pauses.reset();
                }
                Phase::Connecting
            }
            Err(status) => {
                shared.counts.refused.fetch_add(1, Relaxed);
                tracing::debug!(callee = shared.callee, %address, why = status.message(), "not connected");
                Phase::Failed(status)
            }
        };
        shared.set(address, phase);
        shared.stale.notify_one();
        sleep_until(began + pauses.next(&shared.options.random)).await;
    }
}

async fn connect(shared: &Shared, address: SocketAddr, tally: &Arc<Tally>) -> Result<Arc<Connection>, Status> {
    let Shared { callee, options, refusals, .. } = shared;
    let callee = *callee;
    let proof = shared
        .target
        .as_ref()
        .ok()
        .and_then(|target| Some(Proof { tls: target.tls.as_ref()?, callee, host: target.host(), refusals }));
    let opening = socket::open(&options.network, address, proof, options.keepalive);
    let opened = timeout(options.connect_timeout, opening).await;
    let (sender, driver) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            if tls::is_refusal(error.as_ref())
                && let Some(left_out) = refusals.may()
            {
                tracing::warn!(callee, %address, error = chain(error.as_ref()), left_out, "the callee refused this service's certificate");
            }
            return Err(normalise(callee, error.as_ref()));
        }
        Err(_) => return Err(Failure::unreachable(format!("{callee} at {address}: no connection in time")).into()),
    };
    let connection = Arc::new(Connection::new(address, sender, Arc::clone(tally)));
    let driven = Arc::downgrade(&connection);
    // Driven apart, so that the calls on a connection finish although it is left for another.
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(callee, %error, "a connection ended");
        }
        if let Some(connection) = driven.upgrade() {
            connection.end();
        }
    });
    Ok(connection)
}

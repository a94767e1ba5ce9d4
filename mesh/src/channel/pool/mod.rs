//! The endpoints of one callee: found by name, connected to for as long as the pool lives, and chosen from by how many calls
//! they have. A call goes to a connection that is READY or waits for one; it never makes one, so that a caller who gives
//! up takes nothing with it.

mod connection;
mod outlier;
mod state;
#[cfg(test)]
mod tests;
mod upkeep;
mod view;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering::Relaxed},
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::AbortHandle,
    time::Instant,
};
use tonic::{Status, body::Body};

use super::{
    ChannelOptions,
    error::{Loss, Progress},
};
use crate::{
    clock::Draws,
    failure::Failure,
    metrics::{Counts, SeenPool},
    seldom::Seldom,
    tls::Tls,
};
pub(super) use connection::Patience;
use connection::{Connection, Ticket};
use state::{STATES, State};
use view::View;

/// How many calls may wait for a connection; more fail UNAVAILABLE at once.
const WAITING: usize = 1024;

/// The way to one callee.
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Begun by the first call, so that a channel can be made before there is a runtime.
    upkeep: OnceLock<Task>,
}

/// What calls, and the tasks that keep the connections, have in common.
struct Shared {
    callee: &'static str,
    target: Result<Target, String>,
    options: ChannelOptions,
    state: Mutex<State>,
    view: watch::Sender<Arc<View>>,
    /// Wakes the calls that wait for another view, in the order in which they came; a watch wakes in any, and no simulation twice in the same.
    changed: Notify,
    /// Asks for the name to be resolved again.
    stale: Notify,
    /// A permit for each call that waits for a connection.
    queue: Semaphore,
    draws: Draws,
    /// Ranks addresses, where the name has more than are connected to.
    seed: u64,
    counts: Counts,
    /// The lines about certificates, on either side, that do not hold.
    refusals: Seldom,
}

/// Where the callee is.
struct Target {
    authority: Authority,
    /// How it proves itself, and its caller to it; `None` in plain text.
    tls: Option<Tls>,
}

/// A task that ends with its owner.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Target {
    fn host(&self) -> &str {
        // IPv6 stands in brackets in a URI, and nowhere else.
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 })
    }
}

impl Pool {
    pub(super) fn new(callee: &'static str, uri: &str, options: ChannelOptions) -> Self {
        let draws = Draws::new(&options.random);
        let shared = Shared {
            callee,
            target: target(uri, &options),
            state: Mutex::default(),
            view: watch::Sender::new(Arc::new(State::default().view())),
            changed: Notify::new(),
            stale: Notify::new(),
            queue: Semaphore::new(WAITING),
            seed: draws.next(),
            draws,
            counts: Counts::default(),
            refusals: Seldom::default(),
            options,
        };
        Self { shared: Arc::new(shared), upkeep: OnceLock::new() }
    }

    pub(super) fn callee(&self) -> &'static str {
        self.shared.callee
    }

    /// How many endpoints are in which state, how many calls wait, and what has happened.
    pub(super) fn seen(&self) -> SeenPool {
        let Shared { queue, counts, .. } = &*self.shared;
        let state = self.shared.lock();
        let count = |wanted| state.endpoints.iter().filter(|endpoint| endpoint.state() == wanted).count();
        let endpoints = STATES.map(|name| (name, count(name))).to_vec();
        let waiting = WAITING.saturating_sub(queue.available_permits());
        SeenPool { endpoints, waiting, counts: counts.read() }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.shared.target.as_ref().is_ok_and(|target| target.tls.is_some())
    }

    /// A place for a call at an endpoint, none of `tried` if there is another: waited for if need be, and how long is the business of the
    /// call's deadline.
    ///
    /// # Errors
    /// UNAVAILABLE if there is no connection and, unless the channel waits for one, none is being made for the first time.
    pub(super) async fn pick(&self, tried: &[SocketAddr]) -> Result<Ticket, Loss> {
        let unsent = |status| Loss { status, progress: Progress::NotConnected };
        self.shared.target.as_ref().map_err(|error| unsent(Failure::unreachable(error).into()))?;
        self.upkeep.get_or_init(|| upkeep::start(&self.shared));
        let connection = self.shared.connection(tried).await.map_err(unsent)?;
        Ok(Ticket::new(connection, Arc::clone(&self.shared)))
    }

    /// Whether there are two endpoints that are in order and not among `tried`.
    pub(super) fn has_choice(&self, tried: &[SocketAddr]) -> bool {
        let view = Arc::clone(&self.shared.view.borrow());
        view.trusted.iter().filter(|one| one.usable() && !tried.contains(&one.address)).nth(1).is_some()
    }
}

impl Drop for Pool {
    /// The tasks of the endpoints hold what holds them.
    fn drop(&mut self) {
        drop(self.upkeep.take());
        self.shared.lock().endpoints.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and tells the calls that wait.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.show(&state);
        result
    }

    fn show(&self, state: &State) {
        self.view.send_replace(Arc::new(state.view()));
        self.changed.notify_waiters();
    }

    fn eject(&self, address: SocketAddr) {
        let mut state = self.lock();
        if state.eject(address, Instant::now()) {
            self.show(&state);
            self.counts.ejected_at_once.fetch_add(1, Relaxed);
            tracing::warn!(callee = self.callee, %address, "ejected: it fails");
            self.stale.notify_one();
        }
    }

    /// The request with the whole URI that HTTP/2 wants.
    fn addressed(&self, mut request: http::Request<Body>) -> Result<http::Request<Body>, Status> {
        let target = self.target.as_ref().map_err(Failure::unreachable)?;
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(if target.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(target.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).map_err(Failure::internal)?;
        *request.version_mut() = http::Version::HTTP_2;
        Ok(request)
    }

    /// A connection for one call.
    async fn connection(&self, tried: &[SocketAddr]) -> Result<Arc<Connection>, Status> {
        let found = |view: &View| view.pick(tried, || self.draws.next());
        let first = Arc::clone(&self.view.borrow());
        if let Some(connection) = found(&first) {
            return Ok(connection);
        }
        let Ok(_waiting) = self.queue.try_acquire() else {
            return Err(Failure::unreachable(format!("{}: too many calls wait for a connection", self.callee)).into());
        };
        self.counts.waited.fetch_add(1, Relaxed);
        loop {
            // A view that comes from here on wakes it.
            let changed = self.changed.notified();
            let view = Arc::clone(&self.view.borrow());
            if let Some(connection) = found(&view) {
                return Ok(connection);
            }
            match &view.hopeless {
                Some(status) if !self.options.wait_for_ready => return Err(status.clone()),
                _ => {}
            }
            changed.await;
        }
    }
}

fn target(uri: &str, options: &ChannelOptions) -> Result<Target, String> {
    let parsed: Uri = uri.parse().map_err(|error| format!("{uri} is not a URI: {error}"))?;
    match (parsed.scheme_str(), parsed.authority()) {
        (Some("http"), Some(authority)) => Ok(Target { authority: authority.clone(), tls: None }),
        (Some("https"), Some(authority)) => {
            let tls = options.tls.clone().ok_or_else(|| format!("{uri} wants a certificate, and there is none"))?;
            Ok(Target { authority: authority.clone(), tls: Some(tls) })
        }
        _ => Err(format!("{uri} is not of the form http://host:port or https://host:port")),
    }
}

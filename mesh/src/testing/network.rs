//! A network in memory, whose hosts do what a test says; on paused time nothing in it takes any.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    sync::watch,
};
use tonic::body::Body;

use crate::{channel::Network, server::Router};

/// What a host does.
#[derive(Clone)]
pub(crate) enum Host {
    /// Answers.
    Up(Router),
    /// Refuses connections; those it had are cut.
    Down,
    /// Is not reached any more, without a word: neither by connections nor on those it had.
    Gone,
    /// Takes connections, and says nothing.
    Mute,
    /// Speaks HTTP/2 as it is told: each request, with its number from 0 on.
    Scripted(Script),
}

/// What a scripted host does with a request.
pub(crate) type Script =
    Arc<dyn Fn(usize, &http::Request<h2::RecvStream>, h2::server::SendResponse<Bytes>) + Send + Sync>;

/// A network of hosts, all of one name. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Hosts(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    hosts: BTreeMap<SocketAddr, watch::Sender<Host>>,
    named: Vec<SocketAddr>,
    resolved: u32,
    dialled: BTreeMap<SocketAddr, u32>,
}

/// The address of the `n`th host.
pub(crate) fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 80))
}

impl Hosts {
    /// Hosts that the name stands for, numbered from 0.
    pub(crate) fn of(hosts: impl IntoIterator<Item = Host>) -> Self {
        let all = Self::default();
        for (n, host) in (0..).zip(hosts) {
            all.set(n, host);
        }
        let count = all.lock().hosts.len();
        all.name(&(0..u8::try_from(count).expect("few")).collect::<Vec<_>>());
        all
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the host does this, on the connections that it has too.
    pub(crate) fn set(&self, n: u8, host: Host) {
        self.lock().hosts.entry(address(n)).or_insert_with(|| watch::Sender::new(Host::Down)).send_replace(host);
    }

    /// From now on the name stands for these.
    pub(crate) fn name(&self, hosts: &[u8]) {
        self.lock().named = hosts.iter().map(|n| address(*n)).collect();
    }

    /// How often the name was resolved.
    pub(crate) fn resolved(&self) -> u32 {
        self.lock().resolved
    }

    /// How often a connection to the host was tried.
    pub(crate) fn dialled(&self, n: u8) -> u32 {
        self.lock().dialled.get(&address(n)).copied().unwrap_or_default()
    }

    pub(crate) fn network(&self) -> Network {
        let (names, hosts) = (self.clone(), self.clone());
        Network::of(
            move |_, _| {
                let mut inner = names.lock();
                inner.resolved += 1;
                let named = inner.named.clone();
                async move { Ok(named) }
            },
            move |address| {
                let mut inner = hosts.lock();
                *inner.dialled.entry(address).or_default() += 1;
                let host = inner.hosts.get(&address).map(watch::Sender::subscribe);
                async move { dial(host.ok_or(io::ErrorKind::HostUnreachable)?).await }
            },
        )
    }
}

async fn dial(mut host: watch::Receiver<Host>) -> io::Result<DuplexStream> {
    let now = host.borrow_and_update().clone();
    let (ours, mut theirs) = duplex(64 * 1024);
    match now {
        Host::Down => return Err(io::ErrorKind::ConnectionRefused.into()),
        Host::Gone => pending().await,
        Host::Mute => {
            tokio::spawn(async move {
                let _ = host.changed().await;
                drop(theirs);
            });
        }
        Host::Scripted(script) => {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(theirs).await else { return };
                let mut count = 0..;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    script(count.next().unwrap_or_default(), &request, respond);
                }
            });
        }
        Host::Up(router) => {
            let (mut near, far) = duplex(64 * 1024);
            tokio::spawn(answer(far, router));
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut theirs, &mut near) => return,
                    _ = host.changed() => {}
                }
                // Who is gone leaves its connections open.
                let _ = host.wait_for(|host| !matches!(host, Host::Gone)).await;
            });
        }
    }
    Ok(ours)
}

/// Serves HTTP/2 on any stream of bytes.
pub(crate) async fn answer(stream: DuplexStream, router: Router) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.handle(request.map(Body::new)).await) }
    });
    let io = TokioIo::new(stream);
    let _ = http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).serve_connection(io, service).await;
}

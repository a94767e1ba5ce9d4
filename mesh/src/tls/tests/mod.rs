//! Over real sockets, in real time.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Request};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

mod handshakes;
mod reloads;

use super::*;
use crate::{
    Shutdown,
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::Random,
    server::{Port, Router, bind},
    testing::{Authority, DOMAIN, Echo, Folder, Keys, Signed, call, contracts, say},
    token::Kind,
};

/// `echo`, over TLS.
struct Running {
    address: SocketAddr,
    tls: Tls,
    router: Router,
    shutdown: Shutdown,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(tls: Tls, keys: &Keys) -> Self {
        let echo = Echo::unary(|request| async move { Ok(request.into_inner()) });
        let listener = bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::manual();
        let router = echo.router(keys.stack());
        let port = Port { tls: Some(tls.clone()), ..listener.into() };
        let served = tokio::spawn(router.clone().serve(port, shutdown.clone()));
        Self { address, tls, router, shutdown, served }
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.served.await.expect("no panic").expect("served");
    }

    /// A new connection with what `tls` has.
    fn connect(&self, keys: &Keys, tls: &Tls) -> Channel {
        self.connect_to("echo", keys, tls)
    }

    fn connect_to(&self, callee: &'static str, keys: &Keys, tls: &Tls) -> Channel {
        connect(self.address, callee, keys, tls)
    }
}

fn connect(address: SocketAddr, callee: &'static str, keys: &Keys, tls: &Tls) -> Channel {
    let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock.clone(), Random::seeded(1));
    let options = ChannelOptions { tls: Some(tls.clone()), contracts: contracts(), ..ChannelOptions::default() };
    Channel::connect(callee, &format!("https://{address}"), identity, options)
}

/// A service whose certificate is as bad as a test wants it: [`Tls::load`] would refuse to use it.
fn unchecked(signed: &Signed, roots: &[&Authority], keys: &Keys) -> Tls {
    let good = Authority::new("good enough to load");
    let folder = Folder::new(&good.service("sso"), &[&good]);
    let tls = folder.load("sso", keys);
    folder.write(signed);
    folder.roots(roots);
    let files = folder.config().files().expect("said").expect("whole");
    replace(&tls, Material::unchecked(&files, &keys.clock).expect("a pair"));
    tls
}

/// A client with roots and no certificate, as a person's is.
fn nobody(roots: &[&Authority], keys: &Keys) -> Tls {
    let tls = unchecked(&Authority::new("shown to nobody").service("sso"), roots, keys);
    let mut current = tls.0.current.write().expect("unpoisoned");
    Arc::get_mut(&mut current).expect("unused").shown = Arc::new(Nothing);
    drop(current);
    tls
}

fn replace(tls: &Tls, material: Material) {
    *tls.0.current.write().expect("unpoisoned") = Arc::new(material);
}

#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// What is logged on this thread until it is dropped.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false);
        let guard = tracing::subscriber::set_default(lines.with_writer(log.clone()).finish());
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("unpoisoned").clone()).expect("text")
    }

    /// The lines about refusals.
    fn refusals(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn spiffe(service: &str) -> String {
    format!("spiffe://{DOMAIN}/{service}")
}

async fn until(mut holds: impl FnMut() -> bool) {
    let held = timeout(Duration::from_secs(10), async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    held.await.expect("in time");
}

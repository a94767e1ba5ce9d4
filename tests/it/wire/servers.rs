//! Four servers of their own, on ports of their own.

use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use mesh::{
    Channel, ChannelOptions, Clock, PeerIdentity, Port, Random, Router, Shutdown, Stack, Telemetry, Tls,
    token::{Expected, Kind, MeshKey, Verifier},
};
use onebox::Config;
use proto::sms::v1::{ListMessagesRequest, inbox_service_client::InboxServiceClient};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Endpoint, Uri};
use tower::Service;

use crate::storage::Storage;

/// Four processes' worth of Plaza, each behind a port of its own.
pub(crate) struct Mesh {
    pub(super) ports: [u16; 4],
    shutdown: Shutdown,
    servers: JoinSet<()>,
    /// Where the certificates are; `None` in plain text.
    pub(super) certs: Option<PathBuf>,
    _storage: Storage,
}

const NAMES: [&str; 4] = ["sso", "sms", "social", "blog"];

impl Mesh {
    /// In plain text, on loopback.
    pub(super) async fn start() -> Self {
        Self::over(false, &Telemetry::off()).await
    }

    /// In plain text, on loopback, and traced.
    pub(crate) async fn start_traced(telemetry: &Telemetry) -> Self {
        Self::over(false, telemetry).await
    }

    /// Over mutual TLS, with what `plaza certs` makes.
    pub(super) async fn start_secure() -> Self {
        Self::over(true, &Telemetry::off()).await
    }

    async fn over(secure: bool, telemetry: &Telemetry) -> Self {
        let storage = Storage::new();
        let (folder, mut config) = (storage.path(), storage.config());
        config.sso.passwords.cost = 4;
        config.sms.carrier = sms::CarrierConfig::Development { console: false };
        let mut listeners = Vec::new();
        for _ in NAMES {
            listeners.push(mesh::bind("127.0.0.1:0").await.expect("a port"));
        }
        let ports = [0, 1, 2, 3].map(|at: usize| listeners[at].local_addr().expect("bound").port());
        let certs = secure.then(|| folder.join("certs"));
        if let Some(certs) = &certs {
            onebox::certs::write(certs, "plaza.local", &Clock::system()).expect("certificates");
        }
        let key = key(folder);
        let shutdown = Shutdown::manual();
        let mut servers = JoinSet::new();
        for (service, listener) in
            services(&config, &key, ports, certs.as_deref(), (&shutdown, telemetry)).await.into_iter().zip(listeners)
        {
            let tls = certs.as_deref().map(|certs| tls(certs, NAMES[servers.len()]));
            servers.spawn(serve(service, listener, tls, shutdown.clone()));
        }
        Self { ports, shutdown, servers, certs, _storage: storage }
    }

    /// A client that Plaza did not write: tonic's own channel.
    pub(crate) fn client(&self, service: &str) -> tonic::transport::Channel {
        let at = NAMES.iter().position(|name| *name == service).expect("a service");
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.ports[at])).expect("an address");
        match &self.certs {
            None => endpoint.connect_lazy(),
            Some(certs) => endpoint.connect_with_connector_lazy(outsider(certs)),
        }
    }

    pub(super) async fn code(&self, address: &str) -> String {
        let request = ListMessagesRequest { destination: address.to_owned(), ..Default::default() };
        let answer =
            InboxServiceClient::new(self.client("sms")).list_messages(request).await.expect("the inbox answers");
        answer.into_inner().messages.into_iter().find(|message| !message.code.is_empty()).expect("a code came").code
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.begin();
        while self.servers.join_next().await.is_some() {}
    }
}

/// What serves the calls of a service, and what works in the background for as long as it is kept.
type Running = (Router, Box<dyn Any + Send>);

async fn serve((router, _service): Running, listener: TcpListener, tls: Option<Tls>, shutdown: Shutdown) {
    let port = Port { tls, ..listener.into() };
    router.serve(port, shutdown).await.expect("serves");
}

/// What a service proves itself with: its file in the folder is its configuration, as it is for a process of its own.
pub(super) fn tls(certs: &Path, service: &'static str) -> Tls {
    let file = certs.join(format!("{service}.toml"));
    let config = match service {
        "sso" => sso::Config::load(Some(&file)).expect("settings").tls,
        "sms" => sms::Config::load(Some(&file)).expect("settings").tls,
        _ => {
            let default = if service == "social" { social::DEFAULT } else { blog::DEFAULT };
            let config: roster::Config = mesh::config::load(service, default, Some(&file)).expect("settings");
            config.tls
        }
    };
    Tls::load(service, &config, &Clock::system()).expect("holds").expect("there")
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

/// TLS as any client speaks it that knows the roots and has no certificate: rustls checks the host, and nothing of Plaza's is in it.
fn outsider(
    certs: &Path,
) -> impl Service<Uri, Response = TokioIo<TlsStream<TcpStream>>, Error = io::Error, Future = Connecting> + Send + use<>
{
    let pem = CertificateDer::from_pem_file(certs.join(onebox::certs::ROOTS)).expect("roots");
    let mut roots = RootCertStore::empty();
    roots.add(pem).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    tower::service_fn(move |uri: Uri| -> Connecting {
        let connector = connector.clone();
        Box::pin(async move {
            let host = uri.host().expect("a host").to_owned();
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().expect("a port"))).await?;
            let name = ServerName::try_from(host).expect("a name");
            Ok(TokioIo::new(connector.connect(name, stream).await?))
        })
    })
}

pub(super) fn key(folder: &Path) -> MeshKey {
    MeshKey::load_or_create(&folder.join("mesh.key"), "development", &Random::system()).expect("a key")
}

/// The four services, in the order of [`NAMES`].
async fn services(
    config: &Config,
    key: &MeshKey,
    ports: [u16; 4],
    certs: Option<&Path>,
    (shutdown, telemetry): (&Shutdown, &Telemetry),
) -> [Running; 4] {
    let (clock, random) = (Clock::system(), Random::system());
    let channel = |caller: &'static str, at: usize| {
        let identity = PeerIdentity::new(caller, key.signer(Kind::Peer), clock.clone(), random.clone());
        let scheme = if certs.is_some() { "https" } else { "http" };
        let (tls, tracer) = (certs.map(|certs| tls(certs, caller)), telemetry.tracer(caller));
        let options = ChannelOptions { tls, tracer, ..ChannelOptions::default() };
        Channel::connect(NAMES[at], &format!("{scheme}://127.0.0.1:{}", ports[at]), identity, options)
    };
    let sso = sso::Deps {
        clock: clock.clone(),
        random: random.clone(),
        master_key: sso::MasterKey::new([7; 32]),
        keyring: key.keyring(),
        sms: channel("sso", 1),
        social: channel("sso", 2),
        blog: channel("sso", 3),
        inline: false,
        faults: sso::StoreFaults::default(),
        tracer: telemetry.tracer("sso"),
        shutdown: shutdown.clone(),
    };
    let tokens = &config.sso.tokens;
    let verifier = Verifier::new(
        key.keyring(),
        Expected { deployment: &tokens.deployment, audience: &tokens.audience, issuer: &tokens.issuer },
        clock.clone(),
    );
    let sms = sms::Deps {
        clock: clock.clone(),
        random: random.clone(),
        master_key: [7; 32],
        stack: Stack {
            verifier: Arc::new(verifier),
            limits: config.sms.server,
            tracer: telemetry.tracer("sms"),
            random: random.clone(),
        },
        carrier: None,
        inline: false,
        faults: db::Faults::default(),
        shutdown: shutdown.clone(),
    };
    let [social, blog] = ["social", "blog"].map(|service| roster::Deps {
        clock: clock.clone(),
        random: random.clone(),
        keyring: key.keyring(),
        sso: channel(service, 0),
        inline: false,
        faults: db::Faults::default(),
        tracer: telemetry.tracer(service),
        shutdown: shutdown.clone(),
    });
    let sso = sso::build(config.sso.clone(), sso).await.expect("SSO starts");
    let sms = sms::build(config.sms.clone(), sms).await.expect("SMS starts");
    let social = social::build(config.social.clone(), social).await.expect("Social starts");
    let blog = blog::build(config.blog.clone(), blog).await.expect("Blog starts");
    [
        (sso.router(), Box::new(sso)),
        (sms.router(), Box::new(sms)),
        (social.router(), Box::new(social)),
        (blog.router(), Box::new(blog)),
    ]
}

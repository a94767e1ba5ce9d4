//! The same stories over real sockets: four servers of their own, on real time and real threads, finding one another by address.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;

use mesh::{
    Channel, ChannelOptions, Clock, PeerIdentity, Port, Random, Router, Shutdown, Stack, Telemetry, Tls,
    token::{Kind, MeshKey, Verifier},
};
use onebox::Config;
use proto::{
    blog::v1 as blog_pb,
    sms::v1::{self as sms_pb, inbox_service_client::InboxServiceClient, otp_service_client::OtpServiceClient},
    social::v1 as social_pb,
    sso::v1::{
        self as sso_pb, ProvisioningState, account_service_client::AccountServiceClient,
        auth_service_client::AuthServiceClient, sign_in_response::Outcome,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Code,
    transport::{Endpoint, Uri},
};
use tower::Service;

use crate::storage::Storage;
use crate::world::{Person, bearer, failure, guess, reason, success, verification, wrong};

/// Four processes' worth of Plaza, each behind a port of its own.
pub(crate) struct Mesh {
    ports: [u16; 4],
    shutdown: Shutdown,
    servers: JoinSet<()>,
    /// Where the certificates are; `None` in plain text.
    certs: Option<PathBuf>,
    _storage: Storage,
}

const NAMES: [&str; 4] = ["sso", "sms", "social", "blog"];

impl Mesh {
    /// In plain text, on loopback.
    async fn start() -> Self {
        Self::over(false, &Telemetry::off()).await
    }

    /// In plain text, on loopback, and traced.
    pub(crate) async fn start_traced(telemetry: &Telemetry) -> Self {
        Self::over(false, telemetry).await
    }

    /// Over mutual TLS, with what `plaza certs` makes.
    async fn start_secure() -> Self {
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
        for (router, listener) in
            routers(&config, &key, ports, certs.as_deref(), (&shutdown, telemetry)).await.into_iter().zip(listeners)
        {
            let tls = certs.as_deref().map(|certs| tls(certs, NAMES[servers.len()]));
            servers.spawn(serve(router, listener, tls, shutdown.clone()));
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

    async fn code(&self, address: &str) -> String {
        let request = sms_pb::ListMessagesRequest { destination: address.to_owned(), ..Default::default() };
        let answer =
            InboxServiceClient::new(self.client("sms")).list_messages(request).await.expect("the inbox answers");
        answer.into_inner().messages.into_iter().find(|message| !message.code.is_empty()).expect("a code came").code
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.begin();
        while self.servers.join_next().await.is_some() {}
    }
}

async fn serve(router: Router, listener: TcpListener, tls: Option<Tls>, shutdown: Shutdown) {
    let port = Port { tls, ..listener.into() };
    router.serve(port, shutdown).await.expect("serves");
}

/// What a service proves itself with: its file in the folder is its configuration, as it is for a process of its own.
fn tls(certs: &Path, service: &'static str) -> Tls {
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

fn key(folder: &Path) -> MeshKey {
    MeshKey::load_or_create(&folder.join("mesh.key"), "development", &Random::system()).expect("a key")
}

/// The four routers, in the order of [`NAMES`].
async fn routers(
    config: &Config,
    key: &MeshKey,
    ports: [u16; 4],
    certs: Option<&Path>,
    (shutdown, telemetry): (&Shutdown, &Telemetry),
) -> [Router; 4] {
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
    let verifier = Verifier::new(key.keyring(), &tokens.deployment, &tokens.audience, &tokens.issuer, clock.clone());
    let sms = sms::Deps {
        clock: clock.clone(),
        random: random.clone(),
        master_key: [7; 32],
        stack: Stack { verifier: Arc::new(verifier), limits: config.sms.server, tracer: telemetry.tracer("sms") },
        carrier: None,
        inline: false,
        shutdown: shutdown.clone(),
    };
    let [social, blog] = ["social", "blog"].map(|service| roster::Deps {
        clock: clock.clone(),
        keyring: key.keyring(),
        sso: channel(service, 0),
        inline: false,
        tracer: telemetry.tracer(service),
        shutdown: shutdown.clone(),
    });
    [
        sso::build(config.sso.clone(), sso).await.expect("SSO starts").router(),
        sms::build(config.sms.clone(), sms).await.expect("SMS starts").router(),
        social::build(config.social.clone(), social).await.expect("Social starts").router(),
        blog::build(config.blog.clone(), blog).await.expect("Blog starts").router(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_flows_over_sockets() {
    the_three_flows(Mesh::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_flows_over_mutual_tls() {
    the_three_flows(Mesh::start_secure().await).await;
}

async fn the_three_flows(mesh: Mesh) {
    let mut auth = AuthServiceClient::new(mesh.client("sso"));
    for person in [Person::with_email("anna"), Person::with_phone("ben", "+84912345678").official()] {
        let signed_up = auth.sign_up(person.sign_up()).await.expect("signs up").into_inner();
        assert!(signed_up.provisioning.iter().all(|one| one.state() == ProvisioningState::Done), "{signed_up:?}");
        let Some(Outcome::Verification(_)) = sign_in(&mut auth, &person).await else { panic!("not verified yet") };
        let (pending, code) = (verification(&signed_up), mesh.code(&person.address).await);
        let missed = auth.verify_otp(guess(&pending, &wrong(&code))).await.expect("an answer").into_inner();
        assert_eq!(failure(missed).guesses_left, 4);
        let verified = auth.verify_otp(guess(&pending, &code)).await.expect("an answer").into_inner();
        let (user, tokens) = success(verified);
        assert!(user.is_verified);
        let Some(Outcome::Tokens(_)) = sign_in(&mut auth, &person).await else { panic!("verified now") };

        let mut account = AccountServiceClient::new(mesh.client("sso"));
        let seen = account.get_account(bearer(sso_pb::GetAccountRequest {}, &tokens.access_token)).await;
        assert_eq!(seen.expect("honoured").into_inner().user.expect("a user").id, user.id);
        honoured_elsewhere(&mesh, &tokens.access_token).await;
    }
    mesh.stop().await;
}

async fn sign_in(auth: &mut AuthServiceClient<tonic::transport::Channel>, person: &Person) -> Option<Outcome> {
    auth.sign_in(person.sign_in()).await.expect("an answer").into_inner().outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_out_token_dies_everywhere_within_a_second() {
    for mesh in [Mesh::start().await, Mesh::start_secure().await] {
        let mut auth = AuthServiceClient::new(mesh.client("sso"));
        let anna = Person::with_email("anna");
        let signed_up = auth.sign_up(anna.sign_up()).await.expect("signs up").into_inner();
        let code = mesh.code(&anna.address).await;
        let verified = auth.verify_otp(guess(&verification(&signed_up), &code)).await.expect("an answer").into_inner();
        let (_, tokens) = success(verified);
        honoured_elsewhere(&mesh, &tokens.access_token).await;
        let request = sso_pb::SignOutRequest { refresh_token: tokens.refresh_token };
        auth.sign_out(request).await.expect("signed out");
        let mut profiles = social_pb::profile_service_client::ProfileServiceClient::new(mesh.client("social"));
        let mut authors = blog_pb::author_service_client::AuthorServiceClient::new(mesh.client("blog"));
        let dead = async {
            let profile = social_pb::UpdateProfileRequest::default();
            while !is_refused(profiles.update_profile(bearer(profile.clone(), &tokens.access_token)).await) {}
            let author = blog_pb::UpdateAuthorRequest::default();
            while !is_refused(authors.update_author(bearer(author.clone(), &tokens.access_token)).await) {}
        };
        tokio::time::timeout(Duration::from_secs(1), dead).await.expect("within a second");
        mesh.stop().await;
    }
}

fn is_refused<T>(answer: Result<T, tonic::Status>) -> bool {
    answer.is_err_and(|status| reason(&status) == "TOKEN_INVALID")
}

/// Social and Blog fetch SSO's key by its contract, and know the token by it.
async fn honoured_elsewhere(mesh: &Mesh, token: &str) {
    let mut profiles = social_pb::profile_service_client::ProfileServiceClient::new(mesh.client("social"));
    let change = social_pb::UpdateProfileRequest { display_name: Some("山田".to_owned()), about: None };
    let changed = profiles.update_profile(bearer(change, token)).await.expect("honoured").into_inner();
    assert_eq!(changed.profile.expect("a profile").display_name, "山田");
    let mut authors = blog_pb::author_service_client::AuthorServiceClient::new(mesh.client("blog"));
    let change = blog_pb::UpdateAuthorRequest { display_name: None, about: Some("a\nb".to_owned()) };
    authors.update_author(bearer(change.clone(), token)).await.expect("honoured");
    let refused = authors.update_author(bearer(change, &token.replace("v4.public", "v4.local"))).await.expect_err("no");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_on_the_port_is_nobody() {
    for mesh in [Mesh::start().await, Mesh::start_secure().await] {
        an_outsider_is_nobody(mesh).await;
    }
}

async fn an_outsider_is_nobody(mesh: Mesh) {
    let mut otp = OtpServiceClient::new(mesh.client("sms"));
    let refused = otp.acknowledge_otp(sms_pb::AcknowledgeOtpRequest::default()).await.expect_err("an internal call");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    let mut forged = tonic::Request::new(sms_pb::AcknowledgeOtpRequest::default());
    forged.metadata_mut().insert("x-plaza-peer", "sso".parse().expect("ASCII"));
    let refused = otp.acknowledge_otp(forged).await.expect_err("a forged name");
    assert!(matches!(refused.code(), Code::PermissionDenied | Code::Unauthenticated), "{refused:?}");
    mesh.stop().await;
}

/// Who calls is the certificate's to say: Social's is as good as SSO's in the handshake, and opens none of SMS's calls. The token that proves a peer in
/// plain text proves nothing here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn social_may_not_call_sms() {
    let mesh = Mesh::start_secure().await;
    let certs = mesh.certs.clone().expect("there");
    let uri = format!("https://127.0.0.1:{}", mesh.ports[1]);
    let called = async |caller: &'static str, bearing: &'static str| {
        let key = key(certs.parent().expect("the folder"));
        let identity = PeerIdentity::new(bearing, key.signer(Kind::Peer), Clock::system(), Random::system());
        let options = ChannelOptions { tls: Some(tls(&certs, caller)), ..ChannelOptions::default() };
        let mut otp = OtpServiceClient::new(Channel::connect("sms", &uri, identity, options));
        otp.acknowledge_otp(sms_pb::AcknowledgeOtpRequest::default()).await.expect_err("the request is empty").code()
    };
    assert_eq!(called("sso", "sso").await, Code::InvalidArgument, "let in, and then told what is missing");
    assert_eq!(called("social", "sso").await, Code::PermissionDenied);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_64_kib_is_refused_on_the_wire() {
    let mesh = Mesh::start().await;
    let mut auth = AuthServiceClient::new(mesh.client("sso"));
    let request = sso_pb::SignUpRequest { username: "a".repeat(70 * 1024), ..Person::with_email("anna").sign_up() };
    assert_eq!(auth.sign_up(request).await.expect_err("too large").code(), Code::ResourceExhausted);
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_less_time_gets_deadline_exceeded() {
    let mesh = Mesh::start().await;
    let mut auth = AuthServiceClient::new(mesh.client("sso"));
    let mut request = tonic::Request::new(Person::with_email("anna").sign_up());
    request.set_timeout(Duration::from_micros(50));
    let refused = auth.sign_up(request).await.expect_err("no time");
    assert!(matches!(refused.code(), Code::DeadlineExceeded | Code::Cancelled), "{refused:?}");
    mesh.stop().await;
}

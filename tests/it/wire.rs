//! The same stories over real sockets: four servers of their own, on real time and real threads, finding one another by address.

use std::{path::Path, time::Duration};

use mesh::{
    Channel, ChannelOptions, Clock, Limits, PeerIdentity, Random, Router, Shutdown, Stack,
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
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{Code, transport::Endpoint};

use crate::world::{Person, bearer, failure, guess, reason, success, verification, wrong};

/// Four processes' worth of Plaza, each behind a port of its own.
struct Mesh {
    ports: [u16; 4],
    shutdown: Shutdown,
    servers: JoinSet<()>,
    _folder: tempfile::TempDir,
}

const NAMES: [&str; 4] = ["sso", "sms", "social", "blog"];

impl Mesh {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::embedded(folder.path()).expect("the defaults hold");
        config.sso.passwords.cost = 4;
        config.sms.carrier = sms::CarrierConfig::Development { console: false };
        let mut listeners = Vec::new();
        for _ in NAMES {
            listeners.push(mesh::bind("127.0.0.1:0").await.expect("a port"));
        }
        let ports = [0, 1, 2, 3].map(|at: usize| listeners[at].local_addr().expect("bound").port());
        let key = key(folder.path());
        let shutdown = Shutdown::manual();
        let mut servers = JoinSet::new();
        for (router, listener) in routers(&config, &key, ports, &shutdown).await.into_iter().zip(listeners) {
            servers.spawn(serve(router, listener, shutdown.clone()));
        }
        Self { ports, shutdown, servers, _folder: folder }
    }

    /// A client that Plaza did not write: tonic's own channel.
    fn client(&self, service: &str) -> tonic::transport::Channel {
        let at = NAMES.iter().position(|name| *name == service).expect("a service");
        Endpoint::from_shared(format!("http://127.0.0.1:{}", self.ports[at])).expect("an address").connect_lazy()
    }

    async fn code(&self, address: &str) -> String {
        let request = sms_pb::ListMessagesRequest { destination: address.to_owned(), ..Default::default() };
        let answer =
            InboxServiceClient::new(self.client("sms")).list_messages(request).await.expect("the inbox answers");
        answer.into_inner().messages.into_iter().find(|message| !message.code.is_empty()).expect("a code came").code
    }

    async fn stop(mut self) {
        self.shutdown.begin();
        while self.servers.join_next().await.is_some() {}
    }
}

async fn serve(router: Router, listener: TcpListener, shutdown: Shutdown) {
    router.serve(listener, shutdown).await.expect("serves");
}

fn key(folder: &Path) -> MeshKey {
    MeshKey::load_or_create(&folder.join("mesh.key"), "development", &Random::system()).expect("a key")
}

/// The four routers, in the order of [`NAMES`].
async fn routers(config: &Config, key: &MeshKey, ports: [u16; 4], shutdown: &Shutdown) -> [Router; 4] {
    let (clock, random) = (Clock::system(), Random::system());
    let channel = |caller: &'static str, at: usize| {
        let identity = PeerIdentity::new(caller, key.signer(Kind::Peer), clock.clone(), random.clone());
        Channel::connect(NAMES[at], &format!("http://127.0.0.1:{}", ports[at]), identity, ChannelOptions::default())
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
        shutdown: shutdown.clone(),
    };
    let tokens = &config.sso.tokens;
    let verifier = Verifier::new(key.keyring(), &tokens.deployment, &tokens.audience, &tokens.issuer, clock.clone());
    let sms = sms::Deps {
        clock: clock.clone(),
        random: random.clone(),
        master_key: [7; 32],
        stack: Stack { verifier: std::sync::Arc::new(verifier), limits: Limits::default() },
        carrier: None,
        inline: false,
        shutdown: shutdown.clone(),
    };
    let social = social::Deps {
        clock: clock.clone(),
        keyring: key.keyring(),
        sso: channel("social", 0),
        inline: false,
        shutdown: shutdown.clone(),
    };
    let blog = blog::Deps {
        clock: clock.clone(),
        keyring: key.keyring(),
        sso: channel("blog", 0),
        inline: false,
        shutdown: shutdown.clone(),
    };
    [
        sso::build(config.sso.clone(), sso).await.expect("SSO starts").router(),
        sms::build(config.sms.clone(), sms).await.expect("SMS starts").router(),
        social::build(config.social.clone(), social).await.expect("Social starts").router(),
        blog::build(config.blog.clone(), blog).await.expect("Blog starts").router(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_flows_over_sockets() {
    let mesh = Mesh::start().await;
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
    let mesh = Mesh::start().await;
    let mut otp = OtpServiceClient::new(mesh.client("sms"));
    let refused = otp.acknowledge_otp(sms_pb::AcknowledgeOtpRequest::default()).await.expect_err("an internal call");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    let mut forged = tonic::Request::new(sms_pb::AcknowledgeOtpRequest::default());
    forged.metadata_mut().insert("x-plaza-peer", "sso".parse().expect("ASCII"));
    let refused = otp.acknowledge_otp(forged).await.expect_err("a forged name");
    assert!(matches!(refused.code(), Code::PermissionDenied | Code::Unauthenticated), "{refused:?}");
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

//! Social and a stand-in for SSO's TokenService, both in memory.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use mesh::{
    Channel, Clock, Limits, Random, Router, Server, Shutdown, Stack,
    token::{Claims, Expected, Keyring, Kind, Signer, Verifier},
    uuid_v7,
};
use proto::{
    social::v1::{self as pb, profile_service_client::ProfileServiceClient, user_service_client::UserServiceClient},
    sso::v1::{self as sso, token_service_server::TokenService, token_service_server::TokenServiceServer},
};
use roster::{Config, Deps, Service};
use tempfile::TempDir;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// When the clock of a world starts, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;

/// A started Social.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) sso: Sso,
    config: Config,
    clock: Clock,
    random: Random,
    shutdown: Shutdown,
    service: Option<Service>,
    _folder: TempDir,
}

impl World {
    /// With SSO giving out one key.
    pub(crate) async fn start() -> Self {
        Self::start_with(true, false).await
    }

    /// As [`World::start`], for paused time.
    pub(crate) async fn start_paused() -> Self {
        Self::start_with(true, true).await
    }

    /// With SSO giving out one key, or none yet; with the database on a thread of its own, or not.
    pub(crate) async fn start_with(key: bool, inline: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config: Config = mesh::config::load(social::NAME, social::DEFAULT, None).unwrap();
        config.database_url =
            mesh::config::Secret::new(format!("sqlite:{}", folder.path().join("social.db").display()));
        let clock = Clock::simulated(UNIX_EPOCH + Duration::from_secs(START));
        let (random, shutdown) = (Random::seeded(1), Shutdown::manual());
        let sso = Sso { clock: clock.clone(), signers: Arc::default(), asked: Arc::default() };
        if key {
            sso.rotate(1);
        }
        let deps = Deps {
            clock: clock.clone(),
            random: random.clone(),
            keyring: Keyring::new(),
            sso: sso.channel(&config),
            inline,
            faults: db::Faults::default(),
            tracer: mesh::Tracer::off(),
            shutdown: shutdown.clone(),
        };
        let service = social::build(config.clone(), deps).await.unwrap();
        Self { router: service.router(), service: Some(service), sso, config, clock, random, shutdown, _folder: folder }
    }

    /// What SSO calls.
    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(Channel::memory(self.router.clone(), "sso"))
    }

    /// What anyone calls.
    pub(crate) fn profiles(&self) -> ProfileServiceClient<Channel> {
        ProfileServiceClient::new(Channel::anonymous(self.router.clone()))
    }

    /// A new id.
    pub(crate) fn id(&self) -> Uuid {
        uuid_v7(&self.clock, &self.random)
    }

    /// SSO tells of a customer, and Social takes it.
    pub(crate) async fn tell(&self, id: Uuid, username: &str, version: i64) -> pb::User {
        let request = pb::CreateUserRequest { user: Some(customer(id, username, version)) };
        self.users().create_user(request).await.unwrap().into_inner().user.unwrap()
    }

    /// The profile of this id.
    pub(crate) async fn profile(&self, id: Uuid) -> Result<pb::Profile, Status> {
        self.find(pb::get_profile_request::Key::UserId(id.to_string())).await
    }

    /// The profile of this username.
    pub(crate) async fn named(&self, username: &str) -> Result<pb::Profile, Status> {
        self.find(pb::get_profile_request::Key::Username(username.to_owned())).await
    }

    async fn find(&self, key: pb::get_profile_request::Key) -> Result<pb::Profile, Status> {
        let request = pb::GetProfileRequest { key: Some(key) };
        Ok(self.profiles().get_profile(request).await?.into_inner().profile.unwrap())
    }

    /// Changes the profile of the person whose token this is.
    pub(crate) async fn change(&self, token: &str, change: pb::UpdateProfileRequest) -> Result<pb::Profile, Status> {
        let request = with_token(change, token);
        Ok(self.profiles().update_profile(request).await?.into_inner().profile.unwrap())
    }

    /// An access token of this user, signed by the newest key of SSO.
    pub(crate) fn token(&self, user: Uuid) -> String {
        self.token_of(user, Duration::from_secs(900))
    }

    /// As [`World::token`], good for this long from the moment it was issued, a minute ago.
    pub(crate) fn token_of(&self, user: Uuid, life: Duration) -> String {
        let issued = self.clock.now() - Duration::from_secs(60);
        self.sso.sign(&Claims {
            kind: Kind::Access,
            issuer: self.config.tokens.issuer.clone(),
            audience: self.config.tokens.audience.clone(),
            subject: user.to_string(),
            session: Some(self.id()),
            id: self.id(),
            issued_at: issued,
            not_before: issued,
            expires_at: issued + life,
        })
    }

    /// Stops Social and waits until its database is closed.
    pub(crate) async fn stop(mut self) {
        self.shutdown.begin();
        self.service.take().unwrap().close().await;
    }
}

/// A customer as SSO tells of one.
pub(crate) fn customer(id: Uuid, username: &str, version: i64) -> pb::User {
    pb::User {
        id: id.to_string(),
        username: username.to_owned(),
        account_type: pb::AccountType::Customer.into(),
        official_tier: pb::OfficialTier::Unspecified.into(),
        version,
    }
}

/// The request with a bearer token.
pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    mesh::failure::reason(status).unwrap_or_default()
}

/// The fields a refusal names, in its order.
pub(crate) fn bad_fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// SSO's TokenService, as far as Social calls it.
#[derive(Clone)]
pub(crate) struct Sso {
    clock: Clock,
    signers: Arc<Mutex<Vec<Signer>>>,
    asked: Arc<AtomicUsize>,
}

impl Sso {
    /// From now on it signs with a new key, made from `seed`, and gives out that too.
    pub(crate) fn rotate(&self, seed: u64) {
        self.signers.lock().unwrap().insert(0, Signer::generate(&Random::seeded(seed), "development"));
    }

    /// It takes all keys back.
    pub(crate) fn withdraw(&self) {
        self.signers.lock().unwrap().clear();
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn sign(&self, claims: &Claims) -> String {
        self.signers.lock().unwrap()[0].sign(claims)
    }

    fn channel(&self, config: &Config) -> Channel {
        let tokens = &config.tokens;
        let keyring = Keyring::new();
        let verifier = Verifier::new(
            keyring,
            Expected { deployment: &tokens.deployment, audience: &tokens.audience, issuer: &tokens.issuer },
            self.clock.clone(),
        );
        let stack = Stack {
            verifier: Arc::new(verifier),
            limits: Limits::default(),
            tracer: mesh::Tracer::off(),
            random: Random::seeded(1),
        };
        let server = Server::new("sso", stack).add(TokenServiceServer::new(self.clone()));
        Channel::memory(server.build().unwrap(), "social")
    }
}

#[tonic::async_trait]
impl TokenService for Sso {
    type WatchRevocationsStream = tonic::codegen::BoxStream<sso::WatchRevocationsResponse>;

    async fn watch_revocations(
        &self,
        _: Request<sso::WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        Err(Status::unimplemented("an SSO of before there was such a thing"))
    }

    async fn introspect_token(
        &self,
        _: Request<sso::IntrospectTokenRequest>,
    ) -> Result<Response<sso::IntrospectTokenResponse>, Status> {
        Err(Status::unimplemented("nobody asks this stand-in"))
    }

    async fn rotate_key(&self, _: Request<sso::RotateKeyRequest>) -> Result<Response<sso::RotateKeyResponse>, Status> {
        Err(Status::unimplemented("nobody asks this stand-in"))
    }

    async fn list_public_keys(
        &self,
        _: Request<sso::ListPublicKeysRequest>,
    ) -> Result<Response<sso::ListPublicKeysResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let end = self.clock.now() + Duration::from_secs(3600);
        let signers = self.signers.lock().unwrap().clone();
        let keys = signers.iter().map(|signer| sso::PublicKey {
            key_id: signer.public().kid().to_owned(),
            key: signer.public().paserk(),
            expire_time: Some(end.into()),
        });
        let public_keys: Vec<_> = keys.collect();
        if public_keys.is_empty() {
            return Err(Status::unavailable("starting"));
        }
        Ok(Response::new(sso::ListPublicKeysResponse { public_keys }))
    }
}

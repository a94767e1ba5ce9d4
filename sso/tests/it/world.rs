//! Two replicas of SSO, alone in the world: SMS, Social and Blog are down.

use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use diesel::{Connection as _, RunQueryDsl as _, connection::SimpleConnection as _, sql_types::BigInt};
use mesh::{
    Channel, ChannelOptions, Clock, Local, Random, Shutdown,
    config::Secret,
    token::{Claims, Expected, Keyring, Kind, MESH_ISSUER, MeshKey, Verifier},
    uuid_v7,
};
use proto::sso::v1::{
    AccountType, CreateUserRequest, SignInRequest, Tokens, auth_service_client::AuthServiceClient, create_user_request,
    sign_in_request, sign_in_response::Outcome, user_service_client::UserServiceClient,
};
use sso::{Config, DEFAULT, Deps, MasterKey, Service, StoreFaults};
use tonic::Request;
use uuid::Uuid;

const DEPLOYMENT: &str = "development";
/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The replicas, on one database.
pub(crate) struct World {
    pub(crate) replicas: [Service; 2],
    url: String,
    key: MeshKey,
    shutdown: Shutdown,
}

impl World {
    /// `None`, and a line that says so, without a server.
    pub(crate) async fn start() -> Option<Self> {
        let url = empty_postgres()?;
        let (key, shutdown) = (MeshKey::new([5; 32], DEPLOYMENT), Shutdown::manual());
        let replicas = [replica(&url, &key, &shutdown).await, replica(&url, &key, &shutdown).await];
        Some(Self { replicas, url, key, shutdown })
    }

    /// A way to a replica for somebody outside the mesh.
    pub(crate) fn client(&self, replica: usize) -> Channel {
        Channel::anonymous(self.replicas[replica].router())
    }

    /// Signs in at the first replica somebody whom an operator has vouched for.
    pub(crate) async fn signed_in(&self, name: &str) -> Tokens {
        let mut request = Request::new(CreateUserRequest {
            request_id: id(),
            identifier: Some(create_user_request::Identifier::Email(email(name))),
            password: PASSWORD.to_owned(),
            username: name.to_owned(),
            account_type: AccountType::Customer.into(),
            vouch_identifier: true,
            ..Default::default()
        });
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.operator()).parse().unwrap());
        UserServiceClient::new(self.client(0)).create_user(request).await.unwrap();
        match AuthServiceClient::new(self.client(0)).sign_in(sign_in(name)).await.unwrap().into_inner().outcome {
            Some(Outcome::Tokens(tokens)) => tokens,
            other => panic!("no tokens: {other:?}"),
        }
    }

    /// A verifier as Social has one, which follows a replica.
    pub(crate) fn follower(&self, replica: usize) -> std::sync::Arc<Verifier> {
        let sso = Channel::memory(self.replicas[replica].router(), "social");
        let keyring = mesh::keys::follow(Keyring::new(), sso.clone());
        let verifier = std::sync::Arc::new(Verifier::new(
            keyring,
            Expected { deployment: DEPLOYMENT, audience: "plaza", issuer: "plaza" },
            Clock::system(),
        ));
        tokio::spawn(mesh::revocations::follow(verifier.clone(), sso, self.shutdown.clone()));
        verifier
    }

    /// Runs a statement beside the replicas.
    pub(crate) fn execute(&self, sql: String) {
        on_a_thread(self.url.clone(), vec![sql]);
    }

    /// Runs a statement beside the replicas, in a transaction that ends with the value.
    pub(crate) fn hold(&self, sql: &'static str) -> Held {
        let ((go, may_go), (arrived, has_arrived)) = (mpsc::channel::<()>(), mpsc::channel());
        let url = self.url.clone();
        let thread = std::thread::spawn(move || {
            let mut connection = db::PgConn::establish(&url).unwrap();
            connection.batch_execute(&format!("BEGIN; {sql}")).unwrap();
            arrived.send(()).unwrap();
            let _ = may_go.recv();
            connection.batch_execute("COMMIT").unwrap();
        });
        has_arrived.recv().unwrap();
        Held { go: Some(go), thread: Some(thread) }
    }

    /// Whether one session of the database waits for another.
    pub(crate) fn somebody_waits(&self) -> bool {
        let url = self.url.clone();
        let ask = move || {
            let sql = "SELECT COUNT(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let mut connection = db::PgConn::establish(&url).unwrap();
            diesel::dsl::sql::<BigInt>(sql).get_result::<i64>(&mut connection).unwrap() > 0
        };
        std::thread::spawn(ask).join().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        for replica in self.replicas {
            replica.close().await;
        }
    }

    fn operator(&self) -> String {
        let (clock, random) = (Clock::system(), Random::system());
        let now = clock.now();
        self.key.signer(Kind::Operator).sign(&Claims {
            kind: Kind::Operator,
            issuer: MESH_ISSUER.to_owned(),
            audience: "plaza".to_owned(),
            subject: "root".to_owned(),
            session: None,
            id: uuid_v7(&clock, &random),
            issued_at: now,
            not_before: now,
            expires_at: now + Duration::from_secs(60),
        })
    }
}

/// A transaction that is open until this is dropped.
pub(crate) struct Held {
    go: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.go = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A sign-in of somebody who is there, with a fresh id.
pub(crate) fn sign_in(name: &str) -> SignInRequest {
    SignInRequest {
        request_id: id(),
        identifier: Some(sign_in_request::Identifier::Email(email(name))),
        password: PASSWORD.to_owned(),
        ..Default::default()
    }
}

fn email(name: &str) -> String {
    format!("{name}@example.com")
}

/// A fresh request id.
pub(crate) fn id() -> String {
    Uuid::from_bytes(Random::system().bytes()).to_string()
}

async fn replica(url: &str, key: &MeshKey, shutdown: &Shutdown) -> Service {
    let mut config: Config = mesh::config::load("sso_of_tests", DEFAULT, None).unwrap();
    config.database_url = Secret::new(url);
    config.passwords.cost = 4;
    let nobody = Local::new();
    let channel = |callee| nobody.channel(callee, "sso", ChannelOptions::default());
    let deps = Deps {
        clock: Clock::system(),
        random: Random::system(),
        master_key: MasterKey::new([7; 32]),
        keyring: key.keyring(),
        sms: channel("sms"),
        social: channel("social"),
        blog: channel("blog"),
        inline: false,
        faults: StoreFaults::default(),
        shutdown: shutdown.clone(),
        tracer: mesh::Tracer::off(),
    };
    sso::build(config, deps).await.unwrap()
}

/// The address of a new, empty database.
#[allow(clippy::disallowed_methods, reason = "the edge of the tests")]
fn empty_postgres() -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("PLAZA_TEST_POSTGRES") else {
        println!("skipped: PLAZA_TEST_POSTGRES names no server");
        return None;
    };
    let name = format!("plaza_sso_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let base = server.rsplit_once('/').filter(|(head, _)| !head.ends_with('/')).map_or(&*server, |(head, _)| head);
    let url = format!("{base}/{name}");
    on_a_thread(server, vec![format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")]);
    Some(url)
}

/// The connection brings a runtime of its own, which has no place in the one of the test.
fn on_a_thread(url: String, statements: Vec<String>) {
    let run = move || {
        let mut connection = db::PgConn::establish(&url).unwrap();
        for sql in statements {
            connection.batch_execute(&sql).unwrap();
        }
    };
    std::thread::spawn(run).join().unwrap();
}

//! A running SMS and its callers.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mesh::{
    Channel, Clock, Random, Shutdown, Stack, server,
    token::{Expected, MeshKey, Verifier},
};
use proto::sms::v1::{
    self as pb, Delivery, Message, Notice, Otp, Purpose, Verdict, inbox_service_client::InboxServiceClient,
    message_service_client::MessageServiceClient, otp_service_client::OtpServiceClient, send_message_request,
    send_otp_request::Destination,
};
use sms::{Config, Deps, carrier::Carrier};
use tempfile::TempDir;
use tokio::time::advance;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    carrier::TestCarrier,
    engine::{Engine, empty_postgres},
};

/// 1 January 2026.
fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// A running SMS.
pub(crate) struct World {
    pub(crate) otp: OtpServiceClient<Channel>,
    pub(crate) inbox: InboxServiceClient<Channel>,
    notices: MessageServiceClient<Channel>,
    pub(crate) clock: Clock,
    pub(crate) router: mesh::Router,
    ids: Mutex<u128>,
    shutdown: Shutdown,
    _service: sms::Service,
    _folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl World {
    /// With the development carrier, under paused time.
    pub(crate) async fn new(engine: Engine) -> Self {
        Self::build(engine, "", None, db::Faults::default(), true).await
    }

    /// With the development carrier, on threads and in real time.
    pub(crate) async fn threaded(engine: Engine) -> Self {
        Self::build(engine, "", None, db::Faults::default(), false).await
    }

    /// With another carrier, under paused time.
    pub(crate) async fn with(engine: Engine, carrier: &Arc<TestCarrier>) -> Self {
        Self::with_faults(engine, carrier, db::Faults::default()).await
    }

    /// The same, and things go wrong with the database as asked.
    pub(crate) async fn with_faults(engine: Engine, carrier: &Arc<TestCarrier>, faults: db::Faults) -> Self {
        let carrier: Arc<dyn Carrier> = Arc::clone(carrier) as _;
        Self::build(engine, "[carrier]\nkind = \"embedded\"\n", Some(carrier), faults, true).await
    }

    /// With more configuration.
    pub(crate) async fn configured(engine: Engine, toml: &str) -> Self {
        Self::build(engine, toml, None, db::Faults::default(), true).await
    }

    async fn build(
        engine: Engine,
        toml: &str,
        carrier: Option<Arc<dyn Carrier>>,
        faults: db::Faults,
        inline: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sms.toml");
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.path().join("sms.db").display()),
            Engine::Postgres => empty_postgres(),
        };
        let url = format!("database_url = \"{url}\"\n");
        let quiet = if toml.contains("[carrier]") { "" } else { "[carrier]\nconsole = false\n" };
        std::fs::write(&file, [&url, toml, quiet].concat()).unwrap();
        let config = Config::load(Some(&file)).unwrap();

        let clock = if inline { Clock::simulated(start()) } else { Clock::system() };
        let key = MeshKey::new([7; 32], "test");
        let verifier = Verifier::new(
            key.keyring(),
            Expected { deployment: "test", audience: "plaza", issuer: "sso" },
            clock.clone(),
        );
        let shutdown = Shutdown::manual();
        let deps = Deps {
            clock: clock.clone(),
            random: Random::seeded(1),
            master_key: [1; 32],
            stack: Stack {
                verifier: Arc::new(verifier),
                limits: server::Limits::default(),
                tracer: mesh::Tracer::off(),
                random: Random::seeded(1),
            },
            carrier,
            inline,
            faults,
            shutdown: shutdown.clone(),
        };
        let service = sms::build(config, deps).await.unwrap();
        let router = service.router();
        Self {
            otp: OtpServiceClient::new(Channel::memory(router.clone(), "sso")),
            notices: MessageServiceClient::new(Channel::memory(router.clone(), "sso")),
            inbox: InboxServiceClient::new(Channel::anonymous(router.clone())),
            clock,
            router,
            ids: Mutex::new(0),
            shutdown,
            _service: service,
            _folder: folder,
        }
    }

    /// An id that was not given before.
    pub(crate) fn id(&self) -> String {
        let mut ids = self.ids.lock().unwrap();
        *ids += 1;
        Uuid::from_u128(*ids).to_string()
    }

    /// A request to open a verification for `email`.
    pub(crate) fn opening(&self, email: &str) -> pb::SendOtpRequest {
        pb::SendOtpRequest {
            request_id: self.id(),
            verification_id: self.id(),
            user_id: self.id(),
            purpose: Purpose::VerifyIdentifier.into(),
            destination: Some(Destination::Email(email.to_owned())),
            decoy: false,
        }
    }

    pub(crate) async fn send(&self, request: &pb::SendOtpRequest) -> Result<Otp, Status> {
        self.otp.clone().send_otp(request.clone()).await.map(|answer| answer.into_inner().otp.unwrap())
    }

    pub(crate) fn another(&self, of: &pb::SendOtpRequest) -> pb::ResendOtpRequest {
        let (request_id, verification_id, decoy) = (self.id(), of.verification_id.clone(), of.decoy);
        pb::ResendOtpRequest { request_id, verification_id, decoy }
    }

    pub(crate) async fn resend(&self, request: &pb::ResendOtpRequest) -> Result<Otp, Status> {
        self.otp.clone().resend_otp(request.clone()).await.map(|answer| answer.into_inner().otp.unwrap())
    }

    /// A guess for a verification, by the user it was opened for.
    pub(crate) fn guess(&self, of: &pb::SendOtpRequest, code: &str) -> pb::VerifyOtpRequest {
        pb::VerifyOtpRequest {
            request_id: self.id(),
            verification_id: of.verification_id.clone(),
            user_id: of.user_id.clone(),
            purpose: of.purpose,
            code: code.to_owned(),
        }
    }

    pub(crate) async fn verify(&self, request: &pb::VerifyOtpRequest) -> Result<(Verdict, i32), Status> {
        let answer = self.otp.clone().verify_otp(request.clone()).await?.into_inner();
        Ok((answer.verdict(), answer.guesses_left))
    }

    pub(crate) async fn acknowledge(&self, of: &pb::SendOtpRequest) -> Result<(), Status> {
        let request = pb::AcknowledgeOtpRequest { verification_id: of.verification_id.clone() };
        self.otp.clone().acknowledge_otp(request).await.map(|_| ())
    }

    /// A request to tell `email` that its password was changed.
    pub(crate) fn telling(&self, email: &str) -> pb::SendMessageRequest {
        let destination = Some(send_message_request::Destination::Email(email.to_owned()));
        pb::SendMessageRequest { request_id: self.id(), notice: Notice::PasswordChanged.into(), destination }
    }

    pub(crate) async fn tell(&self, request: &pb::SendMessageRequest) -> Result<(), Status> {
        self.notices.clone().send_message(request.clone()).await.map(|_| ())
    }

    /// The messages to `destination`, newest first.
    pub(crate) async fn messages(&self, destination: &str) -> Vec<Message> {
        let request =
            pb::ListMessagesRequest { destination: destination.to_owned(), page_size: 100, ..Default::default() };
        self.inbox.clone().list_messages(request).await.unwrap().into_inner().messages
    }

    /// The code of the newest message to `destination`.
    pub(crate) async fn code(&self, destination: &str) -> String {
        self.messages(destination).await.first().unwrap().code.clone()
    }

    /// Opens a verification and gives its code.
    pub(crate) async fn opened(&self, email: &str) -> (pb::SendOtpRequest, String) {
        let opening = self.opening(email);
        assert_eq!(self.send(&opening).await.unwrap().delivery(), Delivery::Sent);
        let code = self.code(email).await;
        (opening, code)
    }

    /// How many attempts ended so, as `/metrics` tells it.
    pub(crate) async fn ends(&self, end: &str) -> f64 {
        let admin = mesh::Admin::new(self.shutdown.clone());
        admin.add(self.router.clone());
        let (page, end) = (admin.metrics().await, format!("end=\"{end}\""));
        let attempts =
            page.lines().filter(|line| line.starts_with("plaza_work_attempts_total{") && line.contains(&end));
        attempts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Lets time pass, and those who waited for it run.
    pub(crate) async fn wait(&self, seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }
}

/// A code that is not `code`: `by` later, of the same length.
pub(crate) fn other(code: &str, by: u64) -> String {
    format!("{:06}", (code.parse::<u64>().unwrap() + by) % 1_000_000)
}

/// The code and reason of a refusal, and after how many milliseconds to come back.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, Option<u128>) {
    let status = answer.unwrap_err();
    let reason = mesh::failure::reason(&status).unwrap_or_default();
    (status.code(), reason, mesh::failure::retry_delay(&status).map(|delay| delay.as_millis()))
}

/// A refusal in short.
pub(crate) fn no(code: Code, reason: &str, millis: impl Into<Option<u128>>) -> (Code, String, Option<u128>) {
    (code, reason.to_owned(), millis.into())
}

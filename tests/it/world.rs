//! A whole Plaza for one test, and people in it.
//!
//! Time is tokio's, paused: nothing here waits, and a test moves the clock itself. Databases and hashing run on the test's own thread, so that paused
//! time never runs ahead of them.

use std::time::{Duration, SystemTime};

use ::sms::CarrierConfig;
use mesh::Channel;
use onebox::{Config, Edge, Onebox, Part};
use proto::{
    blog::v1::author_service_client::AuthorServiceClient,
    sms::v1::{self as sms, inbox_service_client::InboxServiceClient},
    social::v1::profile_service_client::ProfileServiceClient,
    sso::v1::{
        self as sso, AccountType, CreateUserRequest, Provisioning, ProvisioningState, SendOtpRequest, SendOtpResponse,
        SignInRequest, SignInResponse, SignUpRequest, SignUpResponse, Target, Tokens, VerifyOtpRequest,
        VerifyOtpResponse, account_service_client::AccountServiceClient, auth_service_client::AuthServiceClient,
        create_user_request, sign_in_request, sign_up_request, user_service_client::UserServiceClient,
        verify_otp_response::Outcome,
    },
};
use tonic::{Request, Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::{
    storage::{Backup, Storage},
    trace::Trace,
};

/// When every world begins.
pub(crate) const START: Duration = Duration::from_secs(1_900_000_000);

/// Four services on databases of their own.
pub(crate) struct World {
    plaza: Option<Onebox>,
    settings: Settings,
    // After what uses it.
    storage: Storage,
    /// Last, so that it sees the end as well.
    trace: Trace,
}

/// What a world's settings are made of the usual ones by.
type Settings = fn(&mut Config);

/// Persons may sign in by a code.
pub(crate) fn by_code(config: &mut Config) {
    config.sso.sign_in.by_code = true;
}

/// Somebody who signs up: an address and what they would type.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) address: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) account_type: AccountType,
}

impl Person {
    /// A customer with an e-mail address.
    pub(crate) fn with_email(name: &str) -> Self {
        Self::new(name, format!("{name}@example.com"))
    }

    /// A customer with a phone number.
    pub(crate) fn with_phone(name: &str, number: &str) -> Self {
        Self::new(name, number.to_owned())
    }

    fn new(name: &str, address: String) -> Self {
        let (username, password) = (name.to_owned(), "correct horse battery".to_owned());
        Self { address, username, password, account_type: AccountType::Customer }
    }

    /// The same, as an official account.
    pub(crate) fn official(self) -> Self {
        Self { account_type: AccountType::Official, ..self }
    }

    /// The request of a sign-up, with a fresh id.
    pub(crate) fn sign_up(&self) -> SignUpRequest {
        use sign_up_request::Identifier;
        let address = self.address.clone();
        let identifier =
            if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
        SignUpRequest {
            request_id: id(),
            identifier: Some(identifier),
            password: self.password.clone(),
            username: self.username.clone(),
            account_type: self.account_type.into(),
        }
    }

    /// The request of an operator who creates them and vouches for the address, with a fresh id.
    pub(crate) fn create(&self) -> CreateUserRequest {
        CreateUserRequest {
            request_id: id(),
            identifier: Some(create_user_request::Identifier::Email(self.address.clone())),
            password: self.password.clone(),
            username: self.username.clone(),
            account_type: self.account_type.into(),
            vouch_identifier: true,
            ..CreateUserRequest::default()
        }
    }

    /// The request of a sign-in, with a fresh id.
    pub(crate) fn sign_in(&self) -> SignInRequest {
        use sign_in_request::Identifier;
        let address = self.address.clone();
        let identifier =
            if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
        SignInRequest {
            request_id: id(),
            identifier: Some(identifier),
            password: self.password.clone(),
            device_label: "a phone".to_owned(),
        }
    }
}

/// A fresh request id.
pub(crate) fn id() -> String {
    let bytes = mesh::Random::system().bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The request with a bearer token.
pub(crate) fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    authorize(request.metadata_mut(), token);
    request
}

fn authorize(metadata: &mut MetadataMap, token: &str) {
    metadata.insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
}

impl World {
    /// A world where nobody has signed up.
    pub(crate) async fn start() -> Self {
        Self::start_at(edge(1)).await
    }

    /// A world where nobody has signed up, in these surroundings.
    pub(crate) async fn start_at(edge: Edge) -> Self {
        Self::start_with(|_| {}, edge).await
    }

    /// The same, with settings other than the usual.
    pub(crate) async fn start_with(settings: Settings, edge: Edge) -> Self {
        let (storage, trace) = (Storage::new(), Trace::begin());
        let plaza = Onebox::start(config(&storage, settings), edge).await.expect("plaza starts");
        Self { plaza: Some(plaza), settings, storage, trace }
    }

    /// A world where nobody has signed up, with settings other than the usual.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::start_with(settings, edge(1)).await
    }

    /// A world where persons may sign in by a code.
    pub(crate) async fn by_code() -> Self {
        Self::with(by_code).await
    }

    /// What was logged so far.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A world where nobody has signed up, every flow is switched on, and things go wrong as asked.
    pub(crate) async fn with_faults(faults: onebox::Faults) -> Self {
        Self::start_with(by_code, Edge { faults, ..edge(1) }).await
    }

    /// The whole, to stop parts of it.
    pub(crate) fn plaza_mut(&mut self) -> &mut Onebox {
        self.plaza.as_mut().expect("it runs")
    }

    /// A world on real time and real threads, where calls at once are at once: for races.
    pub(crate) async fn threaded() -> Self {
        Self::start_at(Edge::system()).await
    }

    /// Stops all four services and starts them again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(self.settings).await;
    }

    /// The same, with other settings.
    pub(crate) async fn restart_with(&mut self, settings: Settings) {
        self.settings = settings;
        // The clock goes on where it was.
        let edge = self.plaza().edge().clone();
        self.plaza.take().expect("it runs").stop().await;
        self.plaza = Some(Onebox::start(config(&self.storage, self.settings), edge).await.expect("plaza starts again"));
    }

    /// What a part's database holds now.
    pub(crate) async fn back_up(&mut self, part: Part) -> Backup {
        self.plaza_mut().stop_part(part).await;
        let backup = self.storage.back_up(part);
        self.plaza_mut().start_part(part).await.expect("it starts again");
        backup
    }

    /// Puts a backup in place of what a part's database holds; none is the loss of everything.
    pub(crate) async fn restore(&mut self, part: Part, backup: Option<&Backup>) {
        self.plaza_mut().stop_part(part).await;
        self.storage.restore(part, backup);
        self.plaza_mut().start_part(part).await.expect("it starts on the backup");
    }

    /// Stops all four services.
    pub(crate) async fn stop(mut self) {
        self.plaza.take().expect("it runs").stop().await;
    }

    /// The whole, to take parts away and bring them back.
    pub(crate) fn plaza(&self) -> &Onebox {
        self.plaza.as_ref().expect("it runs")
    }

    /// Passes time, and lets what falls due happen.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Passes a long time at once: what falls due in between happens once, at its end.
    pub(crate) async fn leap(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    /// The time of day in this world.
    pub(crate) fn now(&self) -> SystemTime {
        self.plaza().edge().clock.now()
    }

    fn client(&self, part: Part) -> Channel {
        self.plaza().client(part).expect("it runs")
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.client(Part::Sso))
    }

    pub(crate) fn account(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.client(Part::Sso))
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.client(Part::Sso))
    }

    pub(crate) fn profiles(&self) -> ProfileServiceClient<Channel> {
        ProfileServiceClient::new(self.client(Part::Social))
    }

    pub(crate) fn authors(&self) -> AuthorServiceClient<Channel> {
        AuthorServiceClient::new(self.client(Part::Blog))
    }

    /// A request by an operator.
    pub(crate) fn as_operator<T>(&self, message: T) -> Request<T> {
        let token = self.plaza().operator_token("root", Duration::from_secs(900)).expect("a token");
        bearer(message, &token)
    }

    /// Signs somebody up.
    pub(crate) async fn sign_up(&self, person: &Person) -> Result<SignUpResponse, Status> {
        self.trace.secret(&person.password);
        self.auth().sign_up(person.sign_up()).await.map(tonic::Response::into_inner)
    }

    /// Signs somebody in.
    pub(crate) async fn sign_in(&self, person: &Person) -> Result<SignInResponse, Status> {
        self.trace.secret(&person.password);
        let answer = self.auth().sign_in(person.sign_in()).await?.into_inner();
        if let Some(sso::sign_in_response::Outcome::Tokens(tokens)) = &answer.outcome {
            self.trace.secret(&tokens.refresh_token);
        }
        Ok(answer)
    }

    /// Asks for a code.
    pub(crate) async fn send(&self, verification_id: &str) -> Result<SendOtpResponse, Status> {
        let request = SendOtpRequest { request_id: id(), verification_id: verification_id.to_owned() };
        self.auth().send_otp(request).await.map(tonic::Response::into_inner)
    }

    /// Gives a code.
    pub(crate) async fn verify(&self, verification_id: &str, code: &str) -> Result<VerifyOtpResponse, Status> {
        self.auth().verify_otp(guess(verification_id, code)).await.map(tonic::Response::into_inner)
    }

    /// Signs somebody up and gives the code that reached them.
    pub(crate) async fn join(&self, person: &Person) -> (sso::User, Tokens) {
        let signed_up = self.sign_up(person).await.expect("signs up");
        let code = self.code(&person.address).await;
        let (user, tokens) = success(self.verify(&verification(&signed_up), &code).await.expect("verifies"));
        self.trace.secret(&tokens.refresh_token);
        (user, tokens)
    }

    /// All messages to an address, newest first.
    pub(crate) async fn messages(&self, address: &str) -> Vec<sms::Message> {
        let request =
            sms::ListMessagesRequest { destination: canonical(address), page_size: 100, ..Default::default() };
        let mut inbox = InboxServiceClient::new(self.client(Part::Sms));
        inbox.list_messages(request).await.expect("the inbox answers").into_inner().messages
    }

    /// The last code that reached an address.
    pub(crate) async fn code(&self, address: &str) -> String {
        let coded = self.messages(address).await.into_iter().find(|message| !message.code.is_empty());
        let code = coded.expect("a code came").code;
        self.trace.secret(&code);
        code
    }

    /// How far the targets know a user, as an operator sees it.
    pub(crate) async fn provisioning(&self, user_id: &str) -> Vec<Provisioning> {
        let request = self.as_operator(sso::GetProvisioningRequest { user_id: user_id.to_owned() });
        self.users().get_provisioning(request).await.expect("it answers").into_inner().provisioning
    }

    /// A figure on the page of the admin port, by its name with its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.page().await;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().expect("a number")
    }

    /// The page of the admin port.
    pub(crate) async fn page(&self) -> String {
        let admin = mesh::Admin::new(mesh::Shutdown::manual());
        self.plaza().describe(&admin);
        admin.metrics().await
    }
}

/// A guess, with a fresh id.
pub(crate) fn guess(verification_id: &str, code: &str) -> VerifyOtpRequest {
    VerifyOtpRequest {
        request_id: id(),
        verification_id: verification_id.to_owned(),
        code: code.to_owned(),
        device_label: "a phone".to_owned(),
    }
}

/// A code that is not this one.
pub(crate) fn wrong(code: &str) -> String {
    let first = if code.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &code[1..])
}

/// The verification id of a sign-up.
pub(crate) fn verification(signed_up: &SignUpResponse) -> String {
    signed_up.verification.as_ref().expect("a verification").verification_id.clone()
}

/// The user and tokens of a right code.
pub(crate) fn success(answer: VerifyOtpResponse) -> (sso::User, Tokens) {
    match answer.outcome {
        Some(Outcome::Success(success)) => (success.user.expect("a user"), success.tokens.expect("tokens")),
        other => panic!("the code was not accepted: {other:?}"),
    }
}

/// The failure of a code that was not accepted.
pub(crate) fn failure(answer: VerifyOtpResponse) -> sso::VerifyOtpFailure {
    match answer.outcome {
        Some(Outcome::Failure(failure)) => failure,
        other => panic!("the code was accepted: {other:?}"),
    }
}

/// The state of one target.
pub(crate) fn state(all: &[Provisioning], target: Target) -> ProvisioningState {
    all.iter().find(|one| one.target() == target).expect("the target is named").state()
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    mesh::failure::reason(status).unwrap_or_else(|| panic!("no reason in {status:?}"))
}

/// An id of nobody.
pub(crate) fn nobody() -> String {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).to_string()
}

fn canonical(address: &str) -> String {
    if address.contains('@') { address.to_lowercase() } else { address.replace([' ', '-', '(', ')'], "") }
}

fn config(storage: &Storage, settings: Settings) -> Config {
    let mut config = storage.config();
    // What is shown here does not depend on the cost, and 12 takes a quarter of a second each.
    config.sso.passwords.cost = 4;
    config.sms.carrier = CarrierConfig::Development { console: false };
    settings(&mut config);
    config
}

fn edge(seed: u64) -> Edge {
    Edge::simulated(SystemTime::UNIX_EPOCH + START, seed)
}

//! A whole Plaza for one test, and people in it.
//!
//! Time is tokio's, paused: nothing here waits, and a test moves the clock itself. Databases and hashing run on the test's own thread, so that paused
//! time never runs ahead of them.

pub(crate) mod boot;
mod person;
mod post;
mod second;

use std::time::{Duration, SystemTime};

use mesh::Channel;
use onebox::{Onebox, Part};
use proto::{
    blog::v1::author_service_client::AuthorServiceClient,
    sms::v1::{self as sms, inbox_service_client::InboxServiceClient},
    social::v1::profile_service_client::ProfileServiceClient,
    sso::v1::{
        self as sso, Provisioning, ProvisioningState, SendOtpRequest, SendOtpResponse, SignInResponse, SignUpResponse,
        Target, Tokens, VerifyOtpRequest, VerifyOtpResponse, account_service_client::AccountServiceClient,
        auth_service_client::AuthServiceClient, user_service_client::UserServiceClient, verify_otp_response::Outcome,
    },
};
use tonic::{Request, Status, metadata::MetadataMap};
use uuid::Uuid;

pub(crate) use self::person::Person;
use self::{boot::Settings, post::Post, second::Second};
use crate::{storage::Storage, trace::Trace};

/// Four services on databases of their own.
pub(crate) struct World {
    plaza: Option<Onebox>,
    second: Second,
    settings: Settings,
    /// What takes messages, if that is not SMS's own inbox.
    post: Option<Post>,
    // After what uses it.
    storage: Storage,
    /// Last, so that it sees the end as well.
    trace: Trace,
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
    /// What was logged so far.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The whole, to stop parts of it.
    pub(crate) fn plaza_mut(&mut self) -> &mut Onebox {
        self.plaza.as_mut().expect("it runs")
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
        AuthServiceClient::new(self.sso())
    }

    pub(crate) fn account(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.sso())
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.sso())
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
        let destination = canonical(address);
        if let Some(post) = &self.post {
            return post.messages(&destination);
        }
        let request = sms::ListMessagesRequest { destination, page_size: 100, ..Default::default() };
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

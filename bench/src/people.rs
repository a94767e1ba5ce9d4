//! A whole Plaza in this process, and people in it.

use std::{error::Error, sync::Arc, time::Duration};

use ::mesh::{Channel, Random};
use onebox::{Config, Edge, Onebox, Part};
use proto::{
    sms::v1::{ListMessagesRequest, inbox_service_client::InboxServiceClient},
    sso::v1::{
        AccountType, LockUserRequest, SignInRequest, SignUpRequest, Tokens, VerifyOtpRequest,
        auth_service_client::AuthServiceClient, sign_in_request, sign_in_response::Outcome, sign_up_request,
        user_service_client::UserServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Request, Status};

/// Four services on SQLite in a folder of their own, called in memory. Clones share them.
#[derive(Clone)]
pub(crate) struct Plaza {
    sso: Channel,
    sms: Channel,
    whole: Arc<(Onebox, TempDir)>,
}

/// Somebody with an e-mail address and a password.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) address: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Empty until they have joined.
    pub(crate) user_id: String,
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        let (username, password) = (name.to_owned(), "correct horse battery".to_owned());
        Self { address: format!("{name}@example.com"), username, password, user_id: String::new() }
    }
}

/// A fresh request id.
pub(crate) fn id() -> String {
    uuid::Builder::from_random_bytes(Random::system().bytes()).into_uuid().to_string()
}

/// The request with a bearer token.
pub(crate) fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

impl Plaza {
    /// A Plaza where nobody has signed up, with passwords hashed at `cost`.
    pub(crate) async fn start(cost: u32) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut config = Config::embedded(&folder.path().join("data"))?;
        config.sso.passwords.cost = cost;
        config.sms.carrier = sms::CarrierConfig::Development { console: false };
        let plaza = Onebox::start(config, Edge::system()).await?;
        let client = |part| plaza.client(part).ok_or("a part is not there");
        let (sso, sms) = (client(Part::Sso)?, client(Part::Sms)?);
        Ok(Self { sso, sms, whole: Arc::new((plaza, folder)) })
    }

    pub(crate) fn sso(&self) -> Channel {
        self.sso.clone()
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.sso())
    }

    /// Keeps somebody out.
    pub(crate) async fn lock(&self, person: &Person) -> Result<(), Box<dyn Error>> {
        let token = self.whole.0.operator_token("bench", Duration::from_secs(900))?;
        let request = LockUserRequest { request_id: id(), user_id: person.user_id.clone() };
        UserServiceClient::new(self.sso()).lock_user(bearer(request, &token)).await?;
        Ok(())
    }

    /// Signs somebody up and gives the code that came.
    pub(crate) async fn join(&self, name: &str) -> Result<Person, Box<dyn Error>> {
        let mut person = Person::new(name);
        let signed_up = self.auth().sign_up(sign_up(&person)).await?.into_inner();
        let request = ListMessagesRequest { destination: person.address.clone(), page_size: 1, ..Default::default() };
        let inbox = InboxServiceClient::new(self.sms.clone()).list_messages(request).await?.into_inner();
        let code = inbox.messages.into_iter().next().ok_or("no code came")?.code;
        let verification_id = signed_up.verification.ok_or("no verification")?.verification_id;
        let guess = VerifyOtpRequest { request_id: id(), verification_id, code, device_label: String::new() };
        self.auth().verify_otp(guess).await?;
        person.user_id = signed_up.user.ok_or("no user")?.id;
        Ok(person)
    }

    /// Signs somebody in who is verified.
    pub(crate) async fn sign_in(&self, person: &Person) -> Result<Tokens, Status> {
        match self.auth().sign_in(sign_in(person)).await?.into_inner().outcome {
            Some(Outcome::Tokens(tokens)) => Ok(tokens),
            _ => Err(Status::internal("not verified")),
        }
    }

    /// Ends it, if nobody else holds it any more.
    pub(crate) async fn stop(self) {
        if let Some((plaza, _folder)) = Arc::into_inner(self.whole) {
            plaza.stop().await;
        }
    }
}

/// The request of a sign-up, with a fresh id.
pub(crate) fn sign_up(person: &Person) -> SignUpRequest {
    SignUpRequest {
        request_id: id(),
        identifier: Some(sign_up_request::Identifier::Email(person.address.clone())),
        password: person.password.clone(),
        username: person.username.clone(),
        account_type: AccountType::Customer.into(),
    }
}

/// The request of a sign-in, with a fresh id.
pub(crate) fn sign_in(person: &Person) -> SignInRequest {
    SignInRequest {
        request_id: id(),
        identifier: Some(sign_in_request::Identifier::Email(person.address.clone())),
        password: person.password.clone(),
        device_label: String::new(),
    }
}

//! Who signs up in the storm, and what they find after it.

use std::{fmt::Debug, time::Duration};

use mesh::{Channel, Random, token::MeshKey};
use proto::{
    blog::v1::{GetAuthorRequest, author_service_client::AuthorServiceClient, get_author_request},
    sms::v1::{ListMessagesRequest, inbox_service_client::InboxServiceClient},
    social::v1::{GetProfileRequest, get_profile_request, profile_service_client::ProfileServiceClient},
    sso::v1::{
        AccountType, SendOtpRequest, SignInRequest, SignUpRequest, VerifyOtpRequest,
        auth_service_client::AuthServiceClient, sign_in_request, sign_in_response, sign_up_request,
        verify_otp_response,
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Response, Status};

use crate::{STORM, host, storm};

/// Their host.
pub(crate) const HOST: &str = "people";

const CROWD: u64 = 8;
const PASSWORD: &str = "correct horse battery";
/// The longest deadline of the methods they call, and what may come on top in simulated time, whose tick is 1 ms.
const DEADLINE: Duration = Duration::from_millis(5000 + 50);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// By when what was owed is paid after the storm.
const PEACE: Duration = Duration::from_secs(120);

#[derive(Clone)]
struct Ways {
    sso: AuthServiceClient<Channel>,
    sms: InboxServiceClient<Channel>,
    social: ProfileServiceClient<Channel>,
    blog: AuthorServiceClient<Channel>,
}

/// All of them, at once.
pub(crate) async fn run(seed: u64) -> turmoil::Result {
    let (random, clock) = (Random::seeded(seed), host::clock());
    // A key that nobody trusts: they are outside the mesh.
    let key = MeshKey::new([1; 32], "nowhere");
    let way = |callee| host::connect(callee, HOST, &key, &clock, &random);
    let ways = Ways {
        sso: AuthServiceClient::new(way("sso")),
        sms: InboxServiceClient::new(way("sms")),
        social: ProfileServiceClient::new(way("social")),
        blog: AuthorServiceClient::new(way("blog")),
    };
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let person = Person { name: format!("person{n}"), random: random.clone(), ways: ways.clone() };
        crowd.spawn(person.live());
    }
    while let Some(ended) = crowd.join_next().await {
        ended?;
    }
    Ok(())
}

struct Person {
    name: String,
    random: Random,
    ways: Ways,
}

impl Person {
    async fn live(mut self) {
        sleep(self.random.between(Duration::ZERO..STORM * 2 / 3)).await;
        let user_id = self.sign_up().await;
        let calm = storm::CALM.saturating_sub(turmoil::sim_elapsed().unwrap_or_default());
        sleep(calm).await;
        self.is_known(&user_id).await;
        self.sign_in(&user_id).await;
    }

    fn id(&self) -> String {
        uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid().to_string()
    }

    /// Tries until it is acknowledged, always with the same request id.
    async fn sign_up(&mut self) -> String {
        let request = SignUpRequest {
            request_id: self.id(),
            identifier: Some(sign_up_request::Identifier::Email(format!("{}@example.com", self.name))),
            password: PASSWORD.to_owned(),
            username: self.name.clone(),
            account_type: AccountType::Customer.into(),
        };
        let sso = self.ways.sso.clone();
        let answer = persist("sign up", &self.name, || {
            let (mut sso, request) = (sso.clone(), request.clone());
            async move { sso.sign_up(request).await }
        })
        .await;
        answer.user.expect("a user").id
    }

    /// Social and Blog know whom SSO acknowledged.
    async fn is_known(&self, user_id: &str) {
        let since = Instant::now();
        let (social, blog) = (self.ways.social.clone(), self.ways.blog.clone());
        persist("a profile", &self.name, || {
            let (mut social, key) = (social.clone(), get_profile_request::Key::UserId(user_id.to_owned()));
            async move { social.get_profile(GetProfileRequest { key: Some(key) }).await }
        })
        .await;
        persist("an author", &self.name, || {
            let (mut blog, key) = (blog.clone(), get_author_request::Key::UserId(user_id.to_owned()));
            async move { blog.get_author(GetAuthorRequest { key: Some(key) }).await }
        })
        .await;
        assert!(since.elapsed() < PEACE, "{} was owed for {:?} after the storm", self.name, since.elapsed());
    }

    /// Proves the address, which gives tokens, of the same user.
    async fn sign_in(&self, user_id: &str) {
        let email = format!("{}@example.com", self.name);
        let sso = self.ways.sso.clone();
        let request = SignInRequest {
            request_id: self.id(),
            identifier: Some(sign_in_request::Identifier::Email(email.clone())),
            password: PASSWORD.to_owned(),
            device_label: String::new(),
        };
        let answer = persist("sign in", &self.name, || {
            let (mut sso, request) = (sso.clone(), request.clone());
            async move { sso.sign_in(request).await }
        })
        .await;
        let Some(sign_in_response::Outcome::Verification(verification)) = answer.outcome else {
            panic!("a verification is wanted, not {answer:?}");
        };
        let verification_id = verification.verification_id;
        let send = SendOtpRequest { request_id: self.id(), verification_id: verification_id.clone() };
        persist("send", &self.name, || {
            let (mut sso, send) = (sso.clone(), send.clone());
            async move { sso.send_otp(send).await }
        })
        .await;
        let code = persist("a code", &self.name, || {
            let (mut sms, destination) = (self.ways.sms.clone(), email.clone());
            async move {
                let request = ListMessagesRequest { destination, page_size: 10, ..Default::default() };
                let messages = sms.list_messages(request).await?.into_inner().messages;
                let newest = messages.into_iter().find(|message| !message.code.is_empty());
                newest.map(|message| Response::new(message.code)).ok_or_else(|| Status::not_found("no code"))
            }
        })
        .await;
        let guess = VerifyOtpRequest { request_id: self.id(), verification_id, code, device_label: String::new() };
        let answer = persist("verify", &self.name, || {
            let (mut sso, guess) = (sso.clone(), guess.clone());
            async move { sso.verify_otp(guess).await }
        })
        .await;
        let Some(verify_otp_response::Outcome::Success(success)) = answer.outcome else {
            panic!("the code is right: {answer:?}");
        };
        assert_eq!(success.user.expect("a user").id, user_id);
        tracing::info!(target: "simulation", name = self.name, "is signed in");
    }
}

/// Calls until it is answered. No call outlives its deadline, whatever the weather.
async fn persist<T, C, F>(what: &str, who: &str, call: C) -> T
where
    T: Debug,
    C: Fn() -> F,
    F: Future<Output = Result<Response<T>, Status>>,
{
    loop {
        let began = Instant::now();
        let outcome = call().await;
        let took = began.elapsed();
        assert!(took <= DEADLINE, "{who}: {what} took {took:?}");
        match outcome {
            Ok(answer) => {
                tracing::info!(target: "simulation", who, what, ?took, "done");
                return answer.into_inner();
            }
            Err(status) => {
                tracing::info!(target: "simulation", who, what, ?took, code = ?status.code(), "not yet");
            }
        }
        sleep(PAUSE).await;
    }
}

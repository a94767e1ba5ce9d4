//! The same stories over real sockets: four servers of their own, on real time and real threads, finding one another by address.

pub(crate) mod servers;

use std::time::Duration;

use mesh::{Channel, ChannelOptions, Clock, PeerIdentity, Random, token::Kind};
use proto::{
    blog::v1 as blog_pb,
    sms::v1::{self as sms_pb, otp_service_client::OtpServiceClient},
    social::v1 as social_pb,
    sso::v1::{
        self as sso_pb, ProvisioningState, account_service_client::AccountServiceClient,
        auth_service_client::AuthServiceClient, sign_in_response::Outcome,
    },
};
use tonic::Code;

use self::servers::{Mesh, key, tls};
use crate::world::{Person, bearer, failure, guess, reason, success, verification, wrong};

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

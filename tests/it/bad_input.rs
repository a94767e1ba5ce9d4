//! Bad input is refused with one answer that names all of it; nothing is stored and nothing is sent.

use proto::{
    social::v1 as social,
    sso::v1::{self as sso, sign_up_request::Identifier},
};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use crate::world::{Person, World, bearer, nobody, reason};

/// The bad fields that the answer names, in its order.
fn fields(status: &Status) -> Vec<String> {
    assert_eq!((status.code(), reason(status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let request = status.get_details_bad_request().expect("BadRequest");
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}

async fn refused(world: &World, request: sso::SignUpRequest) -> Status {
    world.auth().sign_up(request).await.expect_err("bad input was taken")
}

#[tokio::test(start_paused = true)]
async fn each_bad_field_of_a_sign_up_is_named() {
    let world = World::start().await;
    let good = Person::with_email("anna").sign_up();
    let with = |change: &dyn Fn(&mut sso::SignUpRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let email = |text: &str| Some(Identifier::Email(text.to_owned()));
    let phone = |text: &str| Some(Identifier::PhoneNumber(text.to_owned()));
    for (field, request) in [
        ("identifier", with(&|r| r.identifier = None)),
        ("email", with(&|r| r.identifier = email("anna@"))),
        ("email", with(&|r| r.identifier = email(""))),
        ("phone_number", with(&|r| r.identifier = phone("0912345678"))),
        ("phone_number", with(&|r| r.identifier = phone("+84 12"))),
        ("password", with(&|r| r.password = "short77".to_owned())),
        ("password", with(&|r| r.password = "x".repeat(129))),
        ("password", with(&|r| r.password = "iloveyou".to_owned())),
        ("username", with(&|r| r.username = "anna smith".to_owned())),
        ("username", with(&|r| r.username = "a".repeat(65))),
        ("account_type", with(&|r| r.account_type = 0)),
        ("account_type", with(&|r| r.account_type = 7)),
        ("request_id", with(&|r| r.request_id = "1234".to_owned())),
    ] {
        assert_eq!(fields(&refused(&world, request.clone()).await), [field], "{request:?}");
    }
    assert!(world.messages("").await.is_empty(), "something was sent");
    assert_eq!(world.sign_in(&Person::with_email("anna")).await.expect_err("stored").code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn all_bad_fields_come_in_one_answer() {
    let world = World::start().await;
    let mut named = fields(&refused(&world, sso::SignUpRequest::default()).await);
    named.sort();
    assert_eq!(named, ["account_type", "identifier", "password", "request_id", "username"]);
    let status = world.auth().verify_otp(sso::VerifyOtpRequest::default()).await.expect_err("refused");
    assert_eq!(fields(&status), ["request_id", "verification_id", "code"]);
    let status = world.auth().sign_in(sso::SignInRequest::default()).await.expect_err("refused");
    assert_eq!(fields(&status), ["request_id", "identifier", "password"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_has_1_to_256_bytes() {
    let world = World::start().await;
    for (length, named) in [(0, true), (256, false), (257, true)] {
        let (text, mut auth) = ("A".repeat(length), world.auth());
        let refreshed = world.refresh(&text).await.expect_err("no token");
        let signed_out = auth.sign_out(sso::SignOutRequest { refresh_token: text }).await;
        if named {
            assert_eq!(fields(&refreshed), ["refresh_token"]);
            assert_eq!(fields(&signed_out.expect_err("no token")), ["refresh_token"]);
        } else {
            assert_eq!(reason(&refreshed), "SESSION_ENDED");
            signed_out.expect("nothing is left to end");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_username_is_already_exists() {
    let world = World::start().await;
    world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let other = Person { address: "other@example.com".to_owned(), ..Person::with_email("ANNA") };
    let status = world.sign_up(&other).await.expect_err("taken");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "USERNAME_TAKEN"));
    assert!(world.messages("other@example.com").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_id_of_nobody_is_not_found_and_no_id_is_invalid() {
    let world = World::start().await;
    let status = world.users().get_user(world.as_operator(sso::GetUserRequest { user_id: nobody() })).await;
    let status = status.expect_err("nobody");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
    let status = world.users().get_user(world.as_operator(sso::GetUserRequest { user_id: "me".to_owned() })).await;
    assert_eq!(fields(&status.expect_err("no id")), ["user_id"]);
    let key = Some(social::get_profile_request::Key::UserId(nobody()));
    let status = world.profiles().get_profile(social::GetProfileRequest { key }).await.expect_err("nobody");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_64_kib_is_resource_exhausted() {
    let world = World::start().await;
    let request = sso::SignUpRequest { username: "a".repeat(65 * 1024), ..Person::with_email("anna").sign_up() };
    assert_eq!(refused(&world, request).await.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_is_unimplemented_and_an_internal_call_from_outside_is_refused() {
    let world = World::start().await;
    let channel = world.plaza().client(onebox::Part::Sso).expect("it runs");
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("ready");
    let path = PathAndQuery::from_static("/sso.v1.AuthService/SignDown");
    let answer = grpc.unary(Request::new(()), path, ProstCodec::<(), ()>::default()).await;
    assert_eq!(answer.expect_err("no such method").code(), Code::Unimplemented);

    let channel = world.plaza().client(onebox::Part::Social).expect("it runs");
    let mut users = social::user_service_client::UserServiceClient::new(channel);
    let status =
        users.delete_user(social::DeleteUserRequest { user_id: nobody(), version: 1 }).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
}

#[tokio::test(start_paused = true)]
async fn text_in_any_script_survives_and_too_much_of_it_is_named() {
    let world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("Жанна")).await;
    for text in ["Ünïcödé", "山田 太郎", "مرحبا", "👩‍👩‍👧‍👦 family", "e\u{301}"] {
        let change = social::UpdateProfileRequest { display_name: None, about: Some(text.to_owned()) };
        let changed = world.profiles().update_profile(bearer(change, &tokens.access_token)).await.expect("taken");
        assert_eq!(changed.into_inner().profile.expect("a profile").about, text);
    }
    let change = social::UpdateProfileRequest { display_name: Some("\u{7}".to_owned()), about: Some("x".repeat(1001)) };
    let status = world.profiles().update_profile(bearer(change, &tokens.access_token)).await.expect_err("refused");
    assert_eq!(fields(&status), ["display_name", "about"]);
}

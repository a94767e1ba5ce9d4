//! Flow 3: a person signs in.

use std::time::Duration;

use proto::sso::v1::{self as sso, CodeDelivery, sign_in_response::Outcome};
use tonic::Code;

use crate::world::{Person, World, bearer, guess, id, reason, success, verification};

#[tokio::test(start_paused = true)]
async fn a_verified_person_gets_tokens() {
    let world = World::start().await;
    for person in [Person::with_email("anna"), Person::with_phone("ben", "+84912345678")] {
        let (user, _) = world.join(&person).await;
        let tokens = tokens(world.sign_in(&person).await.expect("signs in"));
        let account = world.account().get_account(bearer(sso::GetAccountRequest {}, &tokens.access_token)).await;
        assert_eq!(account.expect("honoured").into_inner().user.expect("a user").id, user.id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unverified_person_gets_a_verification_and_no_message() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.sign_up(&anna).await.expect("signs up");
    world.pass(Duration::from_secs(600)).await;
    let before = world.messages(&anna.address).await.len();
    let pending = pending(world.sign_in(&anna).await.expect("an answer"));
    assert_eq!((pending.delivery(), pending.masked_destination.as_str()), (CodeDelivery::NotSent, "a•••@example.com"));
    assert_eq!(world.messages(&anna.address).await.len(), before, "signing in sends nothing by itself");

    world.send(&pending.verification_id).await.expect("sends");
    let code = world.code(&anna.address).await;
    let (user, tokens) = success(world.verify(&pending.verification_id, &code).await.expect("verifies"));
    assert!(user.is_verified && !tokens.access_token.is_empty());
    self::tokens(world.sign_in(&anna).await.expect("signs in"));
}

#[tokio::test(start_paused = true)]
async fn unknown_and_wrong_are_one_answer() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let wrong = Person { password: "not her password".to_owned(), ..anna };
    let unknown = Person::with_email("nobody");
    let (wrong, unknown) = (world.sign_in(&wrong).await, world.sign_in(&unknown).await);
    let (wrong, unknown) = (wrong.expect_err("refused"), unknown.expect_err("refused"));
    assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    assert_eq!(
        (wrong.code(), wrong.message(), wrong.details()),
        (unknown.code(), unknown.message(), unknown.details())
    );
}

#[tokio::test(start_paused = true)]
async fn an_access_token_ends_after_fifteen_minutes() {
    let world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let ask = || bearer(sso::GetAccountRequest {}, &tokens.access_token);
    world.pass(Duration::from_secs(899)).await;
    world.account().get_account(ask()).await.expect("still good");
    world.pass(Duration::from_secs(2)).await;
    let refused = world.account().get_account(ask()).await.expect_err("over");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_sign_in_is_the_same_session() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let request = anna.sign_in();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let answer = world.auth().sign_in(request.clone()).await.expect("signs in").into_inner();
        sessions.push(session(&tokens(answer).access_token));
    }
    assert_eq!(sessions[0], sessions[1]);
    let other = tokens(world.sign_in(&anna).await.expect("signs in"));
    assert_ne!(sessions[0], session(&other.access_token));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_after_the_end_of_what_it_began_says_so() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (sign_up, sign_in) = (anna.sign_up(), anna.sign_in());
    let signed_up = world.auth().sign_up(sign_up.clone()).await.expect("signs up").into_inner();
    let guess = guess(&verification(&signed_up), &world.code(&anna.address).await);
    let (user, first) = success(world.auth().verify_otp(guess.clone()).await.expect("verifies").into_inner());
    let second = tokens(world.auth().sign_in(sign_in.clone()).await.expect("signs in").into_inner());
    for refresh_token in [first.refresh_token, second.refresh_token] {
        world.auth().sign_out(sso::SignOutRequest { refresh_token }).await.expect("out");
    }
    let verified = async || reason(&world.auth().verify_otp(guess.clone()).await.expect_err("over"));
    let signed_in = async || reason(&world.auth().sign_in(sign_in.clone()).await.expect_err("over"));
    assert_eq!((verified().await.as_str(), signed_in().await.as_str()), ("SESSION_ENDED", "SESSION_ENDED"));
    world.delete(&id(), &user.id).await.expect("deleted");
    assert_eq!((verified().await.as_str(), signed_in().await.as_str()), ("SESSION_ENDED", "CREDENTIALS_INVALID"));
    assert_eq!(reason(&world.auth().sign_up(sign_up).await.expect_err("gone")), "USER_NOT_FOUND");
}

/// The claim `sid` of a token, unverified: its payload is base64 of the claims and a signature.
fn session(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(2).expect("a payload");
    let bytes = URL_SAFE_NO_PAD.decode(payload).expect("base64");
    let text = String::from_utf8_lossy(&bytes[..bytes.len() - 64]).into_owned();
    let at = text.find("\"sid\":\"").expect("a session") + 7;
    text[at..at + 36].to_owned()
}

fn tokens(answer: sso::SignInResponse) -> sso::Tokens {
    match answer.outcome {
        Some(Outcome::Tokens(tokens)) => tokens,
        other => panic!("no tokens: {other:?}"),
    }
}

fn pending(answer: sso::SignInResponse) -> sso::Verification {
    match answer.outcome {
        Some(Outcome::Verification(verification)) => verification,
        other => panic!("no verification: {other:?}"),
    }
}

//! Who may not change what somebody signs in with, and that nobody learns whose an identifier is.

use std::time::Duration;

use proto::sso::v1::ChangePasswordRequest;
use tonic::Code;

use super::{NUMBER, STALE, change_to, confirmation};
use crate::{
    recovery::seen_of,
    world::{Person, World, bearer, id, reason, wrong},
};

#[tokio::test(start_paused = true)]
async fn an_old_session_needs_the_password() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    world.pass(STALE).await;
    let tokens = world.refresh(&tokens.refresh_token).await.expect("goes on");
    for status in [
        world.start_change(&tokens, change_to(NUMBER, "")).await.expect_err("a refresh proves nothing"),
        world.remove(&tokens, &anna.address, "").await.expect_err("the same of a removal"),
    ] {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "REAUTHENTICATION_REQUIRED"));
    }
    let status = world.start_change(&tokens, change_to(NUMBER, "not the password")).await.expect_err("wrong");
    assert_eq!(reason(&status), "CREDENTIALS_INVALID");
    assert!(world.messages(NUMBER).await.is_empty());
    world.start_change(&tokens, change_to(NUMBER, &anna.password)).await.expect("her own");
    for _ in 0..5 {
        world.start_change(&tokens, change_to(NUMBER, "not the password")).await.expect_err("wrong");
    }
    let status = world.start_change(&tokens, change_to(NUMBER, &anna.password)).await.expect_err("too many tries");
    assert_eq!(reason(&status), "SIGN_IN_THROTTLED");
}

#[tokio::test(start_paused = true)]
async fn an_identifier_of_somebody_else_looks_free_and_its_owner_is_told() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.join(&Person::with_email("ben")).await;
    world.pass(Duration::from_secs(3600)).await;
    let tokens = world.let_in(&anna).await;
    let mut seen = Vec::new();
    for address in ["ben@example.com", "free@example.com"] {
        let pending = world.start_change(&tokens, change_to(address, "")).await.expect("the same answer");
        let message = world.messages(address).await.remove(0);
        assert_eq!(message.code.is_empty(), address == "ben@example.com", "a code to whom it helps alone");
        let guess = wrong(if message.code.is_empty() { "000000" } else { &message.code });
        let outcome = world.confirm_change(&tokens, confirmation(&pending, &guess)).await.expect("told");
        seen.push(seen_of(&world, pending, &outcome).await);
    }
    assert_eq!(seen[0], seen[1]);
    let notice = world.messages("ben@example.com").await.remove(0).text;
    assert!(notice.contains("to another account"), "{notice}");
    world.let_in(&Person::with_email("ben")).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_else_and_nobody_locked_confirms_and_a_new_password_ends_the_change() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let (user, tokens) = world.join(&anna).await;
    let (_, bens) = world.join(&ben).await;
    let pending = world.start_change(&tokens, change_to(NUMBER, "")).await.expect("a code");
    let code = world.code(NUMBER).await;
    let status = world.confirm_change(&bens, confirmation(&pending, &code)).await.expect_err("not Ben's");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    let (old_password, new_password) = (anna.password.clone(), "a whole new password".to_owned());
    let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
    world.account().change_password(bearer(request, &tokens.access_token)).await.expect("changed");
    let status = world.confirm_change(&tokens, confirmation(&pending, &code)).await.expect_err("ended");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");

    world.pass(Duration::from_secs(60)).await;
    let pending = world.start_change(&tokens, change_to(NUMBER, "")).await.expect("another change");
    let code = world.code(NUMBER).await;
    world.lock(&user.id).await.expect("locked");
    for status in [
        world.confirm_change(&tokens, confirmation(&pending, &code)).await.expect_err("locked"),
        world.start_change(&tokens, change_to("anna@example.org", "")).await.expect_err("locked"),
    ] {
        assert_eq!(reason(&status), "SESSION_ENDED");
    }
}

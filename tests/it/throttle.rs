//! Guessing passwords: how often, for whom, and what it tells.

use std::time::Duration;

use proto::sso::v1::{
    ChangePasswordRequest, DeleteAccountRequest, SignInRequest, SignInResponse,
    complete_password_reset_response as reset, sign_in_response::Outcome,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::{
    recovery::{self, completion},
    world::{Person, World, bearer, id, reason},
};

pub(crate) fn guess(person: &Person) -> Person {
    Person { password: "not the password".to_owned(), ..person.clone() }
}

pub(crate) fn throttled(answer: Result<SignInResponse, Status>) -> Duration {
    let status = answer.expect_err("one too many");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SIGN_IN_THROTTLED"));
    mesh::failure::retry_delay(&status).expect("RetryInfo")
}

pub(crate) fn missed(answer: Result<SignInResponse, Status>) {
    assert_eq!(reason(&answer.expect_err("wrong")), "CREDENTIALS_INVALID");
}

pub(crate) fn is_in(answer: Result<SignInResponse, Status>) {
    assert!(matches!(answer.expect("signs in").outcome, Some(Outcome::Tokens(_))));
}

#[tokio::test(start_paused = true)]
async fn misses_cost_pauses_that_end_by_themselves() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let nobody = Person::with_email("nobody");
    for person in [&anna, &nobody] {
        for _ in 0..5 {
            missed(world.sign_in(&guess(person)).await);
        }
        for minutes in [1, 2, 4, 8, 15, 15] {
            assert_eq!(throttled(world.sign_in(person).await), Duration::from_secs(minutes * 60), "{person:?}");
            world.pass(Duration::from_secs(minutes * 60)).await;
            missed(world.sign_in(&guess(person)).await);
        }
        world.pass(Duration::from_secs(15 * 60)).await;
    }
    is_in(world.sign_in(&anna).await);
    for _ in 0..4 {
        missed(world.sign_in(&guess(&anna)).await);
    }
    is_in(world.sign_in(&anna).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guesses_at_once_are_five() {
    let world = World::threaded().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let mut racing = JoinSet::new();
    for at in 0..50 {
        let mut auth = world.auth();
        let request = Person { password: format!("guess number {at}"), ..anna.clone() }.sign_in();
        racing.spawn(async move { auth.sign_in(request).await.expect_err("wrong").code() });
    }
    let codes = racing.join_all().await;
    let compared = codes.iter().filter(|code| **code == Code::Unauthenticated).count();
    assert_eq!((compared, codes.len()), (5, 50));
    throttled(world.sign_in(&anna).await);
}

/// What is right for a claim forgives nothing: or else its password, given in between, would make guesses at the owner's free.
#[tokio::test(start_paused = true)]
async fn a_claimants_password_does_not_pay_for_guesses() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let nobody = Person::with_email("nobody");
    for person in [&anna, &nobody] {
        let username = format!("rival.{}", person.username);
        let rival = Person { username, password: "the rival's own".to_owned(), ..person.clone() };
        // Two claims of one millisecond have no order.
        world.pass(Duration::from_millis(1)).await;
        world.sign_up(&rival).await.expect("claims it");
        for _ in 0..5 {
            world.sign_in(&rival).await.expect("is asked for a code, and it costs no try");
            missed(world.sign_in(&guess(person)).await);
        }
        throttled(world.sign_in(&rival).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_password_costs_no_try_whatever_becomes_of_the_call() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    for _ in 0..6 {
        let status = world.remove(&tokens, &anna.address, &anna.password).await.expect_err("the last one");
        assert_eq!(reason(&status), "LAST_IDENTIFIER");
    }
    let first = anna.sign_in();
    world.auth().sign_in(first.clone()).await.expect("signs in");
    for _ in 0..6 {
        let other = SignInRequest { device_label: "another phone".to_owned(), ..first.clone() };
        let status = world.auth().sign_in(other).await.expect_err("of another request");
        assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    }
    is_in(world.sign_in(&anna).await);
}

#[tokio::test(start_paused = true)]
async fn a_stolen_token_is_no_way_to_guess_the_password() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    let change = async |old: &str| {
        let (old_password, new_password) = (old.to_owned(), "a whole new password".to_owned());
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        let answer = world.account().change_password(bearer(request, &tokens.access_token)).await;
        answer.map(drop).map_err(|status| reason(&status))
    };
    for _ in 0..5 {
        assert_eq!(change("not her password").await, Err("CREDENTIALS_INVALID".to_owned()));
    }
    assert_eq!(change(&anna.password).await, Err("SIGN_IN_THROTTLED".to_owned()));
    let request = DeleteAccountRequest { request_id: id(), password: anna.password.clone() };
    let deletion = world.account().delete_account(bearer(request, &tokens.access_token)).await;
    assert_eq!(reason(&deletion.expect_err("one count for both")), "SIGN_IN_THROTTLED");
    is_in(world.sign_in(&anna).await);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(change(&anna.password).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_owner_gets_in_by_a_reset_and_a_restart_forgets_nothing() {
    let mut world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    for _ in 0..5 {
        missed(world.sign_in(&guess(&anna)).await);
    }
    world.restart().await;
    throttled(world.sign_in(&anna).await);
    let pending = recovery::start(&world, &anna.address).await.expect("a code");
    let code = world.code(&anna.address).await;
    throttled(world.sign_in(&anna).await);
    let set = recovery::complete(&world, completion(&pending, &code)).await.expect("told");
    assert!(matches!(set, reset::Outcome::Success(_)), "{set:?}");
    is_in(world.sign_in(&Person { password: recovery::NEW.to_owned(), ..anna }).await);
}

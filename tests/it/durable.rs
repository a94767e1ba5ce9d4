//! The flows go on after a restart between any two of their steps.

use std::time::Duration;

use proto::sso::v1::sign_in_response::Outcome;

use crate::world::{Person, World, bearer, failure, success, verification, wrong};

#[tokio::test(start_paused = true)]
async fn a_restart_between_every_two_steps() {
    let mut world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code(&anna.address).await);
    world.restart().await;
    let failed = failure(world.verify(&pending, &wrong(&code)).await.expect("an answer"));
    assert_eq!(failed.guesses_left, 4);
    world.restart().await;
    let failed = failure(world.verify(&pending, &wrong(&code)).await.expect("an answer"));
    assert_eq!(failed.guesses_left, 3, "guesses survive a restart");
    world.restart().await;
    let (user, tokens) = success(world.verify(&pending, &code).await.expect("verifies"));
    world.restart().await;
    let account = world.account().get_account(bearer(proto::sso::v1::GetAccountRequest {}, &tokens.access_token)).await;
    assert_eq!(account.expect("the key survives").into_inner().user.expect("a user").id, user.id);
    world.restart().await;
    assert!(matches!(world.sign_in(&anna).await.expect("signs in").outcome, Some(Outcome::Tokens(_))));
}

#[tokio::test(start_paused = true)]
async fn an_unverified_sign_in_goes_on_after_restarts() {
    let mut world = World::start().await;
    let ben = Person::with_phone("ben", "+84912345678");
    world.sign_up(&ben).await.expect("signs up");
    world.pass(Duration::from_secs(600)).await;
    world.restart().await;
    let Some(Outcome::Verification(pending)) = world.sign_in(&ben).await.expect("an answer").outcome else {
        panic!("no verification")
    };
    world.restart().await;
    world.send(&pending.verification_id).await.expect("sends");
    let code = world.code(&ben.address).await;
    world.restart().await;
    success(world.verify(&pending.verification_id, &code).await.expect("verifies"));
}

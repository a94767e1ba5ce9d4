//! Codes: wrong, late, reused, too many, at once.

use std::time::Duration;

use proto::sso::v1::VerifyOtpFailureReason as Reason;
use tonic::Code;

use crate::world::{Person, World, failure, guess, id, nobody, reason, success, verification, wrong};

#[tokio::test(start_paused = true)]
async fn five_wrong_guesses_are_all_there_are() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);
    for left in (0..5).rev() {
        let failed = failure(world.verify(&pending, &wrong(&code)).await.expect("an answer"));
        assert_eq!((failed.reason(), failed.guesses_left), (Reason::WrongCode, left));
    }
    let sixth = failure(world.verify(&pending, &code).await.expect("an answer"));
    assert_eq!((sixth.reason(), sixth.guesses_left), (Reason::GuessesExhausted, 0), "the right code came too late");
}

#[tokio::test(start_paused = true)]
async fn a_resend_restores_no_guess() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);
    for _ in 0..3 {
        failure(world.verify(&pending, &wrong(&code)).await.expect("an answer"));
    }
    world.pass(Duration::from_secs(60)).await;
    world.send(&pending).await.expect("another");
    let fresh = world.code("anna@example.com").await;
    for left in [1, 0] {
        let failed = failure(world.verify(&pending, &wrong(&fresh)).await.expect("an answer"));
        assert_eq!((failed.reason(), failed.guesses_left), (Reason::WrongCode, left));
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_lives_five_minutes() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);
    world.pass(Duration::from_secs(301)).await;
    let late = failure(world.verify(&pending, &code).await.expect("an answer"));
    assert_eq!(late.reason(), Reason::CodeExpired);
    world.send(&pending).await.expect("another");
    let code = world.code("anna@example.com").await;
    success(world.verify(&pending, &code).await.expect("verifies"));
}

#[tokio::test(start_paused = true)]
async fn a_code_works_once() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);
    success(world.verify(&pending, &code).await.expect("verifies"));
    let again = failure(world.verify(&pending, &code).await.expect("an answer"));
    assert_eq!(again.reason(), Reason::CodeUsed);
}

#[tokio::test(start_paused = true)]
async fn eight_right_codes_at_once_have_one_winner() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);
    let calls = (0..8).map(|_| {
        let (mut auth, guess) = (world.auth(), guess(&pending, &code));
        tokio::spawn(async move { auth.verify_otp(guess).await.expect("an answer").into_inner() })
    });
    let mut winners = 0;
    for call in calls.collect::<Vec<_>>() {
        use proto::sso::v1::verify_otp_response::Outcome;
        winners += i32::from(matches!(call.await.expect("it ran").outcome, Some(Outcome::Success(_))));
    }
    assert_eq!(winners, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_verdict_is_had_again_with_the_same_request_id() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let (pending, code) = (verification(&signed_up), world.code("anna@example.com").await);

    let missed = guess(&pending, &wrong(&code));
    let first = world.auth().verify_otp(missed.clone()).await.expect("an answer").into_inner();
    let again = world.auth().verify_otp(missed.clone()).await.expect("an answer").into_inner();
    assert_eq!(failure(first).guesses_left, failure(again).guesses_left, "the repeat cost a guess");

    let hit = guess(&pending, &code);
    let (user, _) = success(world.auth().verify_otp(hit.clone()).await.expect("an answer").into_inner());
    let (same, tokens) = success(world.auth().verify_otp(hit.clone()).await.expect("an answer").into_inner());
    assert_eq!(user.id, same.id);
    assert!(!tokens.access_token.is_empty());

    let mut other = hit;
    other.code = wrong(&code);
    let refused = world.auth().verify_otp(other).await.expect_err("another request");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "REQUEST_ID_REUSED"));
}

#[tokio::test(start_paused = true)]
async fn sends_cool_down_and_say_until_when() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let pending = signed_up.verification.expect("a verification");
    let resend_after = std::time::SystemTime::try_from(pending.resend_after.expect("says when")).expect("a time");
    assert_eq!(resend_after.duration_since(world.now()).expect("later").as_secs(), 30);

    let refused = world.send(&pending.verification_id).await.expect_err("too soon");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "OTP_RESEND_TOO_SOON"));
    let wait = mesh::failure::retry_delay(&refused).expect("RetryInfo");
    assert!(wait <= Duration::from_secs(30) && wait > Duration::from_secs(25), "{wait:?}");

    world.pass(Duration::from_secs(31)).await;
    let old = world.code("anna@example.com").await;
    let sent = world.send(&pending.verification_id).await.expect("now").verification.expect("a verification");
    assert_ne!(sent.reference, "");
    let after = std::time::SystemTime::try_from(sent.resend_after.expect("says when")).expect("a time");
    assert_eq!(after.duration_since(world.now()).expect("later").as_secs(), 60, "the cool-down doubles");
    let failed = failure(world.verify(&pending.verification_id, &old).await.expect("an answer"));
    assert_eq!(failed.reason(), Reason::WrongCode, "the code before the last is dead");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_send_sends_once() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    world.pass(Duration::from_secs(31)).await;
    let request = proto::sso::v1::SendOtpRequest { request_id: id(), verification_id: verification(&signed_up) };
    let first = world.auth().send_otp(request.clone()).await.expect("sends").into_inner();
    let again = world.auth().send_otp(request).await.expect("answers again").into_inner();
    assert_eq!(first, again);
    assert_eq!(world.messages("anna@example.com").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_verification_ends_after_a_day_and_nobody_elses_is_known() {
    let world = World::start().await;
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let pending = verification(&signed_up);
    let unknown = world.verify(&nobody(), "123456").await.expect_err("unknown");
    world.leap(Duration::from_secs(24 * 3600 + 1)).await;
    let over = world.verify(&pending, "123456").await.expect_err("over");
    assert_eq!((over.code(), reason(&over).as_str()), (Code::NotFound, "VERIFICATION_NOT_FOUND"));
    assert_eq!((over.message(), over.details()), (unknown.message(), unknown.details()));
}

#[tokio::test(start_paused = true)]
async fn a_code_of_one_verification_is_worth_nothing_for_another() {
    let world = World::start().await;
    let anna = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    let ben = world.sign_up(&Person::with_email("ben")).await.expect("signs up");
    let (hers, his) = (world.code("anna@example.com").await, world.code("ben@example.com").await);
    if hers != his {
        let failed = failure(world.verify(&verification(&ben), &hers).await.expect("an answer"));
        assert_eq!(failed.reason(), Reason::WrongCode);
    }
    success(world.verify(&verification(&anna), &hers).await.expect("verifies"));
}

//! Codes: wrong, late, reused, too many, at once.

use std::time::Duration;

use proto::sso::v1::{VerifyOtpFailureReason as Reason, sign_in_response::Outcome};
use tonic::{Code, Status};

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

/// Waits, and asks for a code.
async fn send_after(world: &World, seconds: u64, verification_id: &str) -> Result<(), Status> {
    world.pass(Duration::from_secs(seconds)).await;
    world.send(verification_id).await.map(drop)
}

/// Another verification of somebody who has not verified anything.
async fn another(world: &World, person: &Person) -> String {
    match world.sign_in(person).await.expect("signs in").outcome {
        Some(Outcome::Verification(pending)) => pending.verification_id,
        other => panic!("no verification: {other:?}"),
    }
}

/// What a client needs: which limit, whether to wait, and the text for whoever reads it.
fn limit<T: std::fmt::Debug>(refused: Result<T, Status>) -> (String, Option<Duration>, String) {
    let status = refused.expect_err("a limit");
    assert_eq!(status.code(), Code::ResourceExhausted);
    (reason(&status), mesh::failure::retry_delay(&status), status.message().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_sends_says_when_to_come_back_or_that_the_verification_is_spent() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let hers = verification(&world.sign_up(&anna).await.expect("signs up"));
    for cool_down in [31, 61, 121, 301] {
        send_after(&world, cool_down, &hers).await.expect("a code");
    }
    let spent = limit(send_after(&world, 7200, &hers).await);
    let text = "no send is left to this verification: open another";
    assert_eq!(spent, ("OTP_SEND_LIMIT".to_owned(), None, text.to_owned()));
    let fresh = another(&world, &anna).await;
    world.send(&fresh).await.expect("a code");
    success(world.verify(&fresh, &world.code(&anna.address).await).await.expect("verifies"));

    world.sign_up(&ben).await.expect("signs up");
    for _ in 0..4 {
        send_after(&world, 300, &another(&world, &ben).await).await.expect("a code");
    }
    let last = another(&world, &ben).await;
    let (reason, wait, text) = limit(send_after(&world, 600, &last).await);
    assert_eq!((reason.as_str(), text.as_str()), ("OTP_SEND_LIMIT", "no more codes are sent for now"));
    send_after(&world, wait.expect("RetryInfo").as_secs() + 1, &last).await.expect("now");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_guesses_says_when_to_come_back_or_that_the_verification_is_spent() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let mut pending = verification(&world.sign_up(&anna).await.expect("signs up"));
    for _ in 0..3 {
        let code = world.code(&anna.address).await;
        for _ in 0..5 {
            failure(world.verify(&pending, &wrong(&code)).await.expect("an answer"));
        }
        let spent = limit(send_after(&world, 301, &pending).await);
        let text = "no guess is left to this verification: open another";
        assert_eq!(spent, ("OTP_GUESS_LIMIT".to_owned(), None, text.to_owned()));
        pending = another(&world, &anna).await;
        world.send(&pending).await.expect("a code");
    }
    let (reason, wait, text) = limit(world.verify(&pending, &world.code(&anna.address).await).await);
    assert_eq!((reason.as_str(), text.as_str()), ("OTP_GUESS_LIMIT", "too many codes were guessed"));
    let wait = wait.expect("RetryInfo");
    assert!(Duration::from_secs(23 * 3600) < wait && wait <= Duration::from_secs(24 * 3600), "{wait:?}");
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

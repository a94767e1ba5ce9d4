//! A forgotten password, and one that is changed: who gets in afterwards, and who does not.

use std::{fmt::Debug, time::Duration};

use proto::sso::v1::{
    ChangePasswordRequest, CompletePasswordResetRequest, CompletePasswordResetResponse, CreateUserRequest,
    GetAccountRequest, RefreshTokenRequest, StartPasswordResetRequest, Tokens, Verification, VerifyOtpFailureReason,
    complete_password_reset_response::Outcome, start_password_reset_request::Identifier,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, id, nobody, reason, verification, wrong};

pub(crate) const NEW: &str = "a whole new password";

pub(crate) fn forgot(address: &str) -> StartPasswordResetRequest {
    let address = address.to_owned();
    let identifier = if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
    StartPasswordResetRequest { request_id: id(), identifier: Some(identifier) }
}

pub(crate) async fn start(world: &World, address: &str) -> Result<Verification, Status> {
    Ok(world.auth().start_password_reset(forgot(address)).await?.into_inner().verification.expect("a verification"))
}

pub(crate) fn completion(pending: &Verification, code: &str) -> CompletePasswordResetRequest {
    CompletePasswordResetRequest {
        request_id: id(),
        verification_id: pending.verification_id.clone(),
        code: code.to_owned(),
        new_password: NEW.to_owned(),
    }
}

pub(crate) async fn complete(world: &World, request: CompletePasswordResetRequest) -> Result<Outcome, Status> {
    let answer: CompletePasswordResetResponse = world.auth().complete_password_reset(request).await?.into_inner();
    Ok(answer.outcome.expect("an outcome"))
}

/// What whoever asked for a code can see: the verification without what is its own alone, what became of a guess, and how another code is refused.
pub(crate) async fn seen_of(
    world: &World,
    pending: Verification,
    outcome: &impl Debug,
) -> (Verification, String, Code, String, Vec<u8>) {
    let early = world.send(&pending.verification_id).await.expect_err("too soon");
    let shared = Verification {
        verification_id: String::new(),
        masked_destination: String::new(),
        reference: String::new(),
        ..pending
    };
    (shared, format!("{outcome:?}"), early.code(), early.message().to_owned(), early.details().to_vec())
}

async fn change(world: &World, tokens: &Tokens, old: &str, new: &str) -> Result<(), Status> {
    let (old_password, new_password) = (old.to_owned(), new.to_owned());
    let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
    world.account().change_password(bearer(request, &tokens.access_token)).await.map(drop)
}

/// Somebody who joined, long enough ago for another message.
async fn joined(world: &World, person: &Person) -> Tokens {
    let (_, tokens) = world.join(person).await;
    world.pass(Duration::from_secs(60)).await;
    tokens
}

#[tokio::test(start_paused = true)]
async fn a_code_sets_a_new_password_and_ends_all_sessions() {
    let world = World::start().await;
    for anna in [Person::with_email("anna"), Person::with_phone("ben", "+84912345678")] {
        let session = joined(&world, &anna).await;
        let pending = start(&world, &anna.address).await.expect("a code");
        let code = world.code(&anna.address).await;
        let Outcome::Failure(failure) = complete(&world, completion(&pending, &wrong(&code))).await.expect("told")
        else {
            panic!("a wrong code was right")
        };
        assert_eq!((failure.reason(), failure.guesses_left), (VerifyOtpFailureReason::WrongCode, 4));
        world.refresh(&session.refresh_token).await.expect("nothing has happened yet");

        let right = completion(&pending, &code);
        for _ in 0..2 {
            let outcome = complete(&world, right.clone()).await.expect("repeatable");
            assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?}");
        }
        assert_eq!(reason(&world.refresh(&session.refresh_token).await.expect_err("over")), "SESSION_ENDED");
        let account = world.account().get_account(bearer(GetAccountRequest {}, &session.access_token)).await;
        assert_eq!(reason(&account.expect_err("over for SSO at once")), "SESSION_ENDED");
        assert_eq!(reason(&world.sign_in(&anna).await.expect_err("the old one")), "CREDENTIALS_INVALID");
        world.let_in(&Person { password: NEW.to_owned(), ..anna }).await;
        let again = complete(&world, completion(&pending, &code)).await.expect_err("once");
        assert_eq!(reason(&again), "VERIFICATION_NOT_FOUND");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_looks_the_same_whoever_asks_for_whatever() {
    let world = World::start().await;
    let (anna, unverified) = (Person::with_email("anna"), Person::with_email("newcomer"));
    // By an operator: a message that went to an address before counts, and would be seen, whoever has it.
    for (person, vouch_identifier) in [(&anna, true), (&unverified, false)] {
        let request = CreateUserRequest { vouch_identifier, ..person.create() };
        world.users().create_user(world.as_operator(request)).await.expect("created");
    }
    let mut seen = Vec::new();
    for address in [&anna.address, &unverified.address, "nobody@example.com"] {
        let before = world.messages(address).await.len();
        let pending = start(&world, address).await.expect("the same answer");
        assert_eq!(world.messages(address).await.len(), before + 1, "a message goes out in any case");
        let code = world.messages(address).await[0].code.clone();
        assert_eq!(code.is_empty(), address != anna.address, "a code to whom it helps alone");
        let guess = completion(&pending, "000000");
        let guess = CompletePasswordResetRequest {
            code: if code == guess.code { "111111".into() } else { guess.code.clone() },
            ..guess
        };
        let outcome = complete(&world, guess).await.expect("told");
        seen.push(seen_of(&world, pending, &outcome).await);
        world.pass(Duration::from_secs(1)).await;
    }
    for other in &seen[1..] {
        let (mut other, first) = (other.clone(), &seen[0]);
        // Asked a second later.
        (other.0.code_expire_time, other.0.resend_after) = (first.0.code_expire_time, first.0.resend_after);
        assert_eq!(&other, first);
    }
}

/// Whatever a locked user asks for looks as ever and has no effect, neither then nor once they are let in again.
#[tokio::test(start_paused = true)]
async fn a_locked_user_sets_no_password() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, _) = world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let before = start(&world, &anna.address).await.expect("a code");
    let code = world.code(&anna.address).await;
    world.lock(&user.id).await.expect("locked");
    let status = complete(&world, completion(&before, &code)).await.expect_err("dead");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    world.pass(Duration::from_secs(600)).await;
    let meanwhile = start(&world, &anna.address).await.expect("the same answer");
    assert!(world.messages(&anna.address).await[0].code.is_empty(), "a notice, and no code");
    world.unlock(&user.id).await.expect("unlocked");
    let outcome = complete(&world, completion(&meanwhile, &code)).await.expect("told");
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
    world.let_in(&anna).await;
}

#[tokio::test(start_paused = true)]
async fn a_code_for_one_purpose_is_worth_nothing_for_the_other() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let code = world.code(&anna.address).await;
    let pending = Verification { verification_id: verification(&signed_up), ..Verification::default() };
    let status = complete(&world, completion(&pending, &code)).await.expect_err("no reset");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    crate::world::success(world.verify(&pending.verification_id, &code).await.expect("verifies"));
    world.pass(Duration::from_secs(60)).await;
    let pending = start(&world, &anna.address).await.expect("a code");
    let code = world.code(&anna.address).await;
    let status = world.verify(&pending.verification_id, &code).await.expect_err("no sign-in by a reset");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    let unknown = Verification { verification_id: nobody(), ..pending.clone() };
    let status = complete(&world, completion(&unknown, &code)).await.expect_err("nobody's");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "VERIFICATION_NOT_FOUND"));
    assert!(matches!(complete(&world, completion(&pending, &code)).await, Ok(Outcome::Success(_))));
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_does_not_lose_the_code_and_a_restart_loses_nothing() {
    let mut world = World::start().await;
    let anna = Person::with_email("annamaria");
    joined(&world, &anna).await;
    let request = forgot(&anna.address);
    let first = world.auth().start_password_reset(request.clone()).await.expect("a code").into_inner().verification;
    let code = world.code(&anna.address).await;
    world.restart().await;
    let again = world.auth().start_password_reset(request).await.expect("the same").into_inner().verification;
    assert_eq!(first, again, "a repeat sends nothing");
    let pending = first.expect("a verification");
    let like = CompletePasswordResetRequest { new_password: "Annamaria1".to_owned(), ..completion(&pending, &code) };
    let status = complete(&world, like.clone()).await.expect_err("made of the username");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    world.restart().await;
    let better = CompletePasswordResetRequest { new_password: NEW.to_owned(), ..like };
    assert!(matches!(complete(&world, better).await, Ok(Outcome::Success(_))));
    world.let_in(&Person { password: NEW.to_owned(), ..anna }).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_ends_the_other_sessions_and_open_codes() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let here = joined(&world, &anna).await;
    let there = world.let_in(&anna).await;
    let pending = start(&world, &anna.address).await.expect("a code");
    let code = world.code(&anna.address).await;
    let status = change(&world, &here, "not her password", NEW).await.expect_err("wrong");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    for weak in ["short", "password", "anna1234"] {
        let status = change(&world, &here, &anna.password, weak).await.expect_err("too weak");
        assert_eq!(reason(&status), "INVALID_FIELDS", "{weak}");
    }
    change(&world, &here, &anna.password, NEW).await.expect("changed");
    world.refresh(&here.refresh_token).await.expect("goes on");
    assert_eq!(reason(&world.refresh(&there.refresh_token).await.expect_err("over")), "SESSION_ENDED");
    let status = complete(&world, completion(&pending, &code)).await.expect_err("dead");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    assert_eq!(reason(&world.sign_in(&anna).await.expect_err("the old one")), "CREDENTIALS_INVALID");
    world.let_in(&Person { password: NEW.to_owned(), ..anna }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_once_one_wins_and_no_old_session_survives() {
    let world = World::threaded().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(world.let_in(&anna).await);
    }
    let mut racing = JoinSet::new();
    for (at, session) in all.iter().cloned().enumerate() {
        let (mut account, old_password) = (world.account(), anna.password.clone());
        let new_password = format!("{NEW} {at}");
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        racing.spawn(async move { account.change_password(bearer(request, &session.access_token)).await.is_ok() });
        let (mut auth, refresh_token) = (world.auth(), all[at].refresh_token.clone());
        racing.spawn(async move {
            // Whether before or after: what counts is that it goes on with nothing.
            let _ = auth.refresh_token(RefreshTokenRequest { refresh_token }).await;
            false
        });
    }
    let won = racing.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    let mut alive = 0;
    for session in &all {
        alive += usize::from(world.refresh(&session.refresh_token).await.is_ok());
    }
    assert_eq!(alive, 1, "the winner's alone");
}

/// The compare of `account::keep`: all of them found the old password right, and their session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn of_changes_at_once_in_one_session_one_wins() {
    let world = World::threaded().await;
    for round in 0..6 {
        let anna = Person::with_email(&format!("anna{round}"));
        let (_, session) = world.join(&anna).await;
        let mut racing = JoinSet::new();
        for at in 0..4 {
            let (mut account, old_password) = (world.account(), anna.password.clone());
            let request = ChangePasswordRequest { request_id: id(), old_password, new_password: format!("{NEW} {at}") };
            let request = bearer(request, &session.access_token);
            racing.spawn(async move { (at, account.change_password(request).await.is_ok()) });
        }
        let won: Vec<_> = racing.join_all().await.into_iter().filter(|(_, won)| *won).collect();
        assert_eq!(won.len(), 1, "{won:?}");
        world.let_in(&Person { password: format!("{NEW} {}", won[0].0), ..anna }).await;
    }
}

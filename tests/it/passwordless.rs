//! Signing in by a code, without a password: whom it lets in, once, and where; and that it tells nobody who has an account.

use std::{collections::HashSet, time::Duration};

use proto::sso::v1::{
    ChangePasswordRequest, CompleteCodeSignInRequest, CompletePasswordResetRequest, GetAccountRequest, SignOutRequest,
    StartCodeSignInRequest, Tokens, User, Verification, VerifyOtpFailureReason,
    complete_code_sign_in_response::Outcome, start_code_sign_in_request::Identifier,
};
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, id, nobody, reason, wrong};

pub(crate) fn asked(address: &str) -> StartCodeSignInRequest {
    let address = address.to_owned();
    let identifier = if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
    StartCodeSignInRequest { request_id: id(), identifier: Some(identifier) }
}

pub(crate) async fn start(world: &World, address: &str) -> Result<Verification, Status> {
    Ok(world.auth().start_code_sign_in(asked(address)).await?.into_inner().verification.expect("a verification"))
}

pub(crate) fn completion(pending: &Verification, code: &str) -> CompleteCodeSignInRequest {
    CompleteCodeSignInRequest {
        request_id: id(),
        verification_id: pending.verification_id.clone(),
        code: code.to_owned(),
        device_label: "a laptop".to_owned(),
    }
}

async fn complete(world: &World, request: &CompleteCodeSignInRequest) -> Result<Outcome, Status> {
    let outcome = world.auth().complete_code_sign_in(request.clone()).await?.into_inner().outcome;
    let outcome = outcome.expect("an outcome");
    if let Outcome::Tokens(tokens) = &outcome {
        world.trace().secret(&tokens.refresh_token);
    }
    Ok(outcome)
}

/// Gives a right code.
pub(crate) async fn sign_in(world: &World, request: &CompleteCodeSignInRequest) -> Result<Tokens, Status> {
    match complete(world, request).await? {
        Outcome::Tokens(tokens) => Ok(tokens),
        Outcome::Failure(failure) => panic!("the code was not accepted: {failure:?}"),
    }
}

/// Somebody who joined gets a code; what gives it back.
pub(crate) async fn prepared(world: &World, person: &Person) -> CompleteCodeSignInRequest {
    world.leap(Duration::from_secs(60)).await;
    let pending = start(world, &person.address).await.expect("a code");
    completion(&pending, &world.code(&person.address).await)
}

/// A user whose address an operator vouched for, so that no message has gone there.
pub(crate) async fn vouched(world: &World, person: &Person) -> User {
    let created = world.users().create_user(world.as_operator(person.create())).await.expect("created");
    created.into_inner().user.expect("a user")
}

#[tokio::test(start_paused = true)]
async fn while_it_is_off_everybody_is_refused_alike() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    vouched(&world, &anna).await;
    world.lock(&vouched(&world, &ben).await.id).await.expect("locked");
    let unknown = start(&world, "nobody@example.com").await.expect_err("off");
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::FailedPrecondition, "CODE_SIGN_IN_OFF"));
    let pending = Verification { verification_id: nobody(), ..Verification::default() };
    let given = complete(&world, &completion(&pending, "000000")).await.expect_err("off");
    for status in [start(&world, &anna.address).await, start(&world, &ben.address).await] {
        let status = status.expect_err("off");
        assert_eq!((status.code(), status.details()), (unknown.code(), unknown.details()));
    }
    assert_eq!((given.code(), given.details()), (unknown.code(), unknown.details()));
    for address in [&anna.address, &ben.address, "nobody@example.com"] {
        assert!(world.messages(address).await.is_empty(), "something was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn once_it_is_off_what_was_asked_for_before_is_gone() {
    let mut world = World::by_code().await;
    let anna = Person::with_email("anna");
    vouched(&world, &anna).await;
    let pending = start(&world, &anna.address).await.expect("a code");
    let right = completion(&pending, &world.code(&anna.address).await);
    world.restart_with(|_| {}).await;
    world.pass(Duration::from_secs(60)).await;
    let unknown = world.send(&nobody()).await.expect_err("nobody's");
    let gone = world.send(&pending.verification_id).await.expect_err("gone");
    assert_eq!((gone.code(), gone.details()), (unknown.code(), unknown.details()));
    assert_eq!(reason(&complete(&world, &right).await.expect_err("off")), "CODE_SIGN_IN_OFF");
    assert!(world.messages(&anna.address).await.is_empty(), "one went out, into an inbox that is new");
}

#[tokio::test(start_paused = true)]
async fn a_code_signs_in_once() {
    let world = World::by_code().await;
    for person in [Person::with_email("anna"), Person::with_phone("ben", "+84912345678")] {
        let (user, before) = world.join(&person).await;
        world.pass(Duration::from_secs(60)).await;
        let pending = start(&world, &person.address).await.expect("a code");
        let code = world.code(&person.address).await;
        let missed = complete(&world, &completion(&pending, &wrong(&code))).await.expect("told");
        let Outcome::Failure(failure) = missed else { panic!("a wrong code was right") };
        assert_eq!((failure.reason(), failure.guesses_left), (VerifyOtpFailureReason::WrongCode, 4));
        let in_by_code = sign_in(&world, &completion(&pending, &code)).await.expect("in");
        let account = world.account().get_account(bearer(GetAccountRequest {}, &in_by_code.access_token)).await;
        assert_eq!(account.expect("hers").into_inner().user.expect("a user").id, user.id);
        let all = world.sessions(&before).await.expect("the other session goes on");
        let labels: HashSet<_> = all.iter().map(|one| one.device_label.as_str()).collect();
        assert_eq!((all.len(), labels), (2, HashSet::from(["a phone", "a laptop"])));
        let again = complete(&world, &completion(&pending, &code)).await.expect_err("once");
        assert_eq!((again.code(), reason(&again).as_str()), (Code::NotFound, "VERIFICATION_NOT_FOUND"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_by_code_looks_the_same_whoever_asks_for_whatever() {
    let world = World::by_code().await;
    let (anna, ben, cleo) = (Person::with_email("anna"), Person::with_email("ben"), Person::with_email("cleo"));
    vouched(&world, &anna).await;
    world.lock(&vouched(&world, &ben).await.id).await.expect("locked");
    let unverified = proto::sso::v1::CreateUserRequest { vouch_identifier: false, ..cleo.create() };
    world.users().create_user(world.as_operator(unverified)).await.expect("created");
    let mut seen = Vec::new();
    for address in [&anna.address, &ben.address, &cleo.address, "nobody@example.com"] {
        let mut pending = start(&world, address).await.expect("the same answer");
        let messages = world.messages(address).await;
        assert_eq!(messages.len(), 1, "a message goes out in any case");
        assert_eq!(messages[0].code.is_empty(), *address != anna.address, "a code to whom it helps alone");
        let code = if messages[0].code.is_empty() { "000000" } else { &messages[0].code };
        let mut guesses = Vec::new();
        for _ in 0..6 {
            guesses.push(complete(&world, &completion(&pending, &wrong(code))).await.expect("told"));
        }
        let early = world.send(&pending.verification_id).await.expect_err("too soon");
        let again = start(&world, address).await.expect_err("too soon");
        let told = |status: Status| (status.code(), status.message().to_owned(), status.details().to_vec());
        let ids = [&mut pending.verification_id, &mut pending.masked_destination, &mut pending.reference];
        ids.into_iter().for_each(String::clear);
        seen.push((pending, format!("{guesses:?}"), told(early), told(again)));
        world.pass(Duration::from_secs(1)).await;
    }
    for other in &seen[1..] {
        let (mut other, first) = (other.clone(), &seen[0]);
        // Asked a second later.
        (other.0.code_expire_time, other.0.resend_after) = (first.0.code_expire_time, first.0.resend_after);
        assert_eq!(&other, first);
    }
}

/// ASVS 6.6.2: to what asked for it, and to what it is for.
#[tokio::test(start_paused = true)]
async fn a_code_is_worth_nothing_anywhere_else() {
    let world = World::by_code().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    for person in [&anna, &ben] {
        vouched(&world, person).await;
    }
    let theirs = start(&world, &ben.address).await.expect("a code");
    let pending = start(&world, &anna.address).await.expect("a code");
    let (bens, code) = (world.code(&ben.address).await, world.code(&anna.address).await);
    assert_ne!(bens, code, "this seed draws two");
    let elsewhere = complete(&world, &completion(&theirs, &code)).await.expect("told");
    assert!(matches!(elsewhere, Outcome::Failure(_)), "in another browser, as somebody else");
    let unknown = Verification { verification_id: nobody(), ..pending.clone() };
    let nowhere = complete(&world, &completion(&unknown, &code)).await.expect_err("without the verification");
    assert_eq!(reason(&nowhere), "VERIFICATION_NOT_FOUND");
    let verify = world.verify(&pending.verification_id, &code).await.expect_err("it verifies nothing");
    assert_eq!(reason(&verify), "VERIFICATION_NOT_FOUND");
    let reset = CompletePasswordResetRequest {
        request_id: id(),
        verification_id: pending.verification_id.clone(),
        code: code.clone(),
        new_password: "a whole new password".to_owned(),
    };
    let reset = world.auth().complete_password_reset(reset).await.expect_err("it sets nothing");
    assert_eq!(reason(&reset), "VERIFICATION_NOT_FOUND");
    sign_in(&world, &completion(&pending, &code)).await.expect("in");
}

#[tokio::test(start_paused = true)]
async fn a_lock_and_a_new_password_end_what_was_asked_for() {
    let world = World::by_code().await;
    let anna = Person::with_email("anna");
    let (user, session) = world.join(&anna).await;
    let ask = prepared(&world, &anna).await;
    world.lock(&user.id).await.expect("locked");
    assert_eq!(reason(&complete(&world, &ask).await.expect_err("dead")), "VERIFICATION_NOT_FOUND");
    world.pass(Duration::from_secs(600)).await;
    let locked = start(&world, &anna.address).await.expect("the same answer");
    assert!(world.messages(&anna.address).await[0].code.is_empty(), "a locked user gets no code");
    world.unlock(&user.id).await.expect("unlocked");
    let outcome = complete(&world, &completion(&locked, &ask.code)).await.expect("told");
    assert!(matches!(outcome, Outcome::Failure(_)), "what was asked for while locked opens nothing later");
    assert_eq!(reason(&world.sessions(&session).await.expect_err("over")), "SESSION_ENDED");

    let Some(proto::sso::v1::sign_in_response::Outcome::Tokens(session)) =
        world.sign_in(&anna).await.expect("in again").outcome
    else {
        panic!("no tokens")
    };
    world.pass(Duration::from_secs(600)).await;
    let ask = prepared(&world, &anna).await;
    let change = ChangePasswordRequest {
        request_id: id(),
        old_password: anna.password.clone(),
        new_password: "a whole new password".to_owned(),
    };
    world.account().change_password(bearer(change, &session.access_token)).await.expect("changed");
    assert_eq!(reason(&complete(&world, &ask).await.expect_err("dead")), "VERIFICATION_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_had_again_and_a_restart_loses_nothing() {
    let mut world = World::by_code().await;
    let anna = Person::with_email("anna");
    vouched(&world, &anna).await;
    let ask = asked(&anna.address);
    let first = world.auth().start_code_sign_in(ask.clone()).await.expect("a code").into_inner().verification;
    let code = world.code(&anna.address).await;
    world.restart().await;
    let again = world.auth().start_code_sign_in(ask).await.expect("the same").into_inner().verification;
    assert_eq!(first, again, "a repeat sends nothing");
    let right = completion(&first.expect("a verification"), &code);
    let lost = sign_in(&world, &right).await.expect("in");
    world.restart().await;
    let found = sign_in(&world, &right).await.expect("the same session");
    assert_eq!(lost.refresh_token, found.refresh_token);
    assert_eq!(world.sessions(&found).await.expect("good").len(), 1);
    let other = CompleteCodeSignInRequest { code: wrong(&right.code), ..right.clone() };
    assert_eq!(reason(&complete(&world, &other).await.expect_err("another request")), "REQUEST_ID_REUSED");
    world.auth().sign_out(SignOutRequest { refresh_token: found.refresh_token }).await.expect("out");
    assert_eq!(reason(&complete(&world, &right).await.expect_err("a repeat opens no new one")), "SESSION_ENDED");
}

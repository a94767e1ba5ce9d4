//! A person changes what they sign in with: proven before the swap, told afterwards, and nobody learns whose it was.

mod refused;

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::{
    ChangePasswordRequest, ConfirmIdentifierChangeRequest, GetAccountRequest, RemoveIdentifierRequest,
    StartIdentifierChangeRequest, Tokens, User, Verification, VerifyOtpFailure, VerifyOtpFailureReason as Why,
    confirm_identifier_change_response::Outcome, identifier::Value, remove_identifier_request,
    start_identifier_change_request::Identifier,
};
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, id, reason, wrong};

pub(crate) const CHANGED: &str = "Plaza: an address or number that you sign in with was replaced";
const ADDED: &str = "Plaza: another address or number was added";
pub(crate) const REMOVED: &str = "Plaza: an address or number that you sign in with was taken away";
const NUMBER: &str = "+84912345678";
/// After which a session is not fresh any more.
const STALE: Duration = Duration::from_secs(301);

pub(crate) fn change_to(address: &str, password: &str) -> StartIdentifierChangeRequest {
    let (request_id, password, address) = (id(), password.to_owned(), address.to_owned());
    let identifier = if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
    StartIdentifierChangeRequest { request_id, identifier: Some(identifier), password }
}

pub(crate) fn confirmation(pending: &Verification, code: &str) -> ConfirmIdentifierChangeRequest {
    let (verification_id, code) = (pending.verification_id.clone(), code.to_owned());
    ConfirmIdentifierChangeRequest { request_id: id(), verification_id, code }
}

/// A change that only wants to be confirmed.
pub(crate) async fn prepared(world: &World, tokens: &Tokens, address: &str) -> ConfirmIdentifierChangeRequest {
    let pending = world.start_change(tokens, change_to(address, "")).await.expect("a code");
    confirmation(&pending, &world.code(address).await)
}

impl World {
    pub(crate) async fn start_change(
        &self,
        tokens: &Tokens,
        request: StartIdentifierChangeRequest,
    ) -> Result<Verification, Status> {
        let request = bearer(request, &tokens.access_token);
        Ok(self.account().start_identifier_change(request).await?.into_inner().verification.expect("a verification"))
    }

    pub(crate) async fn confirm_change(
        &self,
        tokens: &Tokens,
        request: ConfirmIdentifierChangeRequest,
    ) -> Result<Outcome, Status> {
        let request = bearer(request, &tokens.access_token);
        Ok(self.account().confirm_identifier_change(request).await?.into_inner().outcome.expect("an outcome"))
    }

    /// Begins a change and gives the code that came.
    pub(crate) async fn change_identifier(&self, tokens: &Tokens, address: &str) -> User {
        let request = prepared(self, tokens, address).await;
        changed(self.confirm_change(tokens, request).await.expect("confirmed"))
    }

    pub(crate) async fn remove(&self, tokens: &Tokens, address: &str, password: &str) -> Result<User, Status> {
        use remove_identifier_request::Identifier;
        let (request_id, password, address) = (id(), password.to_owned(), address.to_owned());
        let identifier =
            if address.contains('@') { Identifier::Email(address) } else { Identifier::PhoneNumber(address) };
        let request = RemoveIdentifierRequest { request_id, identifier: Some(identifier), password };
        let answer = self.account().remove_identifier(bearer(request, &tokens.access_token)).await?;
        Ok(answer.into_inner().user.expect("a user"))
    }
}

pub(crate) fn changed(outcome: Outcome) -> User {
    match outcome {
        Outcome::Success(success) => success.user.expect("a user"),
        Outcome::Failure(failure) => panic!("refused: {failure:?}"),
    }
}

fn failed(outcome: Outcome) -> VerifyOtpFailure {
    match outcome {
        Outcome::Failure(failure) => failure,
        Outcome::Success(success) => panic!("accepted: {success:?}"),
    }
}

/// Addresses and numbers, all of them verified.
fn identifiers(user: &User) -> Vec<String> {
    let value = |value: Option<Value>| match value.expect("a value") {
        Value::Email(text) | Value::PhoneNumber(text) => text,
    };
    assert!(user.identifiers.iter().all(|one| one.is_verified), "{user:?}");
    let mut all: Vec<_> = user.identifiers.iter().map(|one| value(one.value.clone())).collect();
    all.sort();
    all
}

fn at(person: &Person, address: &str) -> Person {
    Person { address: address.to_owned(), ..person.clone() }
}

#[tokio::test(start_paused = true)]
async fn a_new_address_takes_the_place_of_the_old_one_once_it_is_proven() {
    let mut world = World::start().await;
    for (anna, new) in
        [(Person::with_email("anna"), "anna@example.org"), (Person::with_phone("ben", NUMBER), "+84987654321")]
    {
        let (_, tokens) = world.join(&anna).await;
        let start = change_to(new, "");
        let pending = world.start_change(&tokens, start.clone()).await.expect("a code");
        let code = world.code(new).await;
        world.restart().await;
        assert_eq!(world.start_change(&tokens, start).await.expect("the same"), pending, "a repeat sends nothing");
        let failure = failed(world.confirm_change(&tokens, confirmation(&pending, &wrong(&code))).await.expect("told"));
        assert_eq!((failure.reason(), failure.guesses_left), (Why::WrongCode, 4));
        world.let_in(&anna).await;
        assert_eq!(world.notices(&anna.address, CHANGED).await, 0);

        let right = confirmation(&pending, &code);
        for _ in 0..2 {
            let user = changed(world.confirm_change(&tokens, right.clone()).await.expect("repeatable"));
            assert_eq!(identifiers(&user), [new]);
            world.restart().await;
        }
        let again = world.confirm_change(&tokens, confirmation(&pending, &code)).await.expect_err("once");
        assert_eq!((again.code(), reason(&again).as_str()), (Code::NotFound, "VERIFICATION_NOT_FOUND"));
        assert_eq!(reason(&world.sign_in(&anna).await.expect_err("the old one")), "CREDENTIALS_INVALID");
        let tokens = world.let_in(&at(&anna, new)).await;
        let account = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
        assert_eq!(identifiers(&account.expect("her own").into_inner().user.expect("a user")), [new]);
        assert_eq!((world.notices(&anna.address, CHANGED).await, world.notices(new, CHANGED).await), (1, 0));
        let theirs = world.start_change(&tokens, change_to(new, "")).await.expect_err("nothing to change");
        assert_eq!(reason(&theirs), "INVALID_FIELDS");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_stands_beside_an_address_and_either_opens_the_account() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    let last = world.remove(&tokens, &anna.address, "").await.expect_err("nothing would be left");
    assert_eq!((last.code(), reason(&last).as_str()), (Code::FailedPrecondition, "LAST_IDENTIFIER"));
    let user = world.change_identifier(&tokens, "+84 912 345 678").await;
    assert_eq!(identifiers(&user), [NUMBER, &anna.address]);
    assert_eq!((world.notices(&anna.address, ADDED).await, world.notices(NUMBER, ADDED).await), (1, 0));
    world.let_in(&anna).await;
    world.let_in(&at(&anna, NUMBER)).await;

    let (old_password, new_password) = (anna.password.clone(), "a whole new password".to_owned());
    let request = ChangePasswordRequest { request_id: id(), old_password, new_password: new_password.clone() };
    world.account().change_password(bearer(request, &tokens.access_token)).await.expect("changed");
    for address in [&anna.address, NUMBER] {
        assert_eq!(world.notices(address, "Plaza: your password was changed").await, 1, "both are told");
    }
    for _ in 0..2 {
        let left = world.remove(&tokens, &anna.address, &new_password).await.expect("gone, then as before");
        assert_eq!(identifiers(&left), [NUMBER]);
    }
    for address in [&anna.address, NUMBER] {
        assert_eq!(world.notices(address, REMOVED).await, 1, "once, {address}");
    }
    let anna = Person { password: new_password, ..anna };
    assert_eq!(reason(&world.sign_in(&anna).await.expect_err("gone")), "CREDENTIALS_INVALID");
    world.let_in(&at(&anna, NUMBER)).await;
    // Whoever has the address now may sign up with it.
    world.pass(Duration::from_secs(3600)).await;
    world.join(&Person { username: "another".to_owned(), ..anna }).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_code_is_none_and_another_may_be_asked_for() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    let pending = world.start_change(&tokens, change_to(NUMBER, "")).await.expect("a code");
    let code = world.code(NUMBER).await;
    world.pass(STALE).await;
    let failure = failed(world.confirm_change(&tokens, confirmation(&pending, &code)).await.expect("told"));
    assert_eq!(failure.reason(), Why::CodeExpired);
    world.send(&pending.verification_id).await.expect("another");
    let fresh = world.code(NUMBER).await;
    // What proves one thing is worth nothing for another.
    let status = world.verify(&pending.verification_id, &fresh).await.expect_err("no sign-in by it");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
    let user = changed(world.confirm_change(&tokens, confirmation(&pending, &fresh)).await.expect("in time"));
    assert_eq!(identifiers(&user), [NUMBER, &anna.address]);
    world.leap(Duration::from_secs(24 * 3600)).await;
    let tokens = world.let_in(&anna).await;
    let status = world.confirm_change(&tokens, confirmation(&pending, &fresh)).await.expect_err("over");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
}

/// The unique index on verified identifiers: both codes were right, and both are approved before either commits.
#[tokio::test(start_paused = true)]
async fn of_two_who_prove_one_number_at_once_one_has_it() {
    let world = World::start().await;
    for round in 0..4 {
        let number = format!("+8491234567{round}");
        let mut both = Vec::new();
        for name in ["anna", "ben"] {
            let person = Person::with_email(&format!("{name}{round}"));
            let (_, tokens) = world.join(&person).await;
            let request = prepared(&world, &tokens, &number).await;
            both.push((person, tokens, request));
            world.pass(Duration::from_secs(60)).await;
        }
        let [(anna, annas, first), (ben, bens, second)] = <[_; 2]>::try_from(both).expect("two");
        let answers = tokio::join!(world.confirm_change(&annas, first), world.confirm_change(&bens, second));
        let (won, lost) = match answers {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            other => panic!("not one winner: {other:?}"),
        };
        assert_eq!(reason(&lost), "VERIFICATION_NOT_FOUND");
        let winner = changed(won);
        let (theirs, other) = if winner.username == anna.username { (anna, ben) } else { (ben, anna) };
        assert_eq!(identifiers(&winner), [number.as_str(), &theirs.address]);
        world.let_in(&at(&theirs, &number)).await;
        world.let_in(&other).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_removals_at_once_one_leaves_an_identifier() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    world.change_identifier(&tokens, NUMBER).await;
    let (one, two) = tokio::join!(world.remove(&tokens, &anna.address, ""), world.remove(&tokens, NUMBER, ""));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(reason(&one.and(two).expect_err("one of them")), "LAST_IDENTIFIER");
}

#[tokio::test(start_paused = true)]
async fn a_change_outlives_an_outage_of_sms() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    world.plaza().withdraw(Part::Sms);
    let start = change_to(NUMBER, "");
    let status = world.start_change(&tokens, start.clone()).await.expect_err("no code");
    assert!([Code::Unavailable, Code::DeadlineExceeded].contains(&status.code()), "{status:?}");
    world.plaza().publish(Part::Sms);
    world.pass(Duration::from_secs(5)).await;
    let pending = world.start_change(&tokens, start).await.expect("a repeat finds what was begun");
    let confirm = confirmation(&pending, &world.code(NUMBER).await);
    world.plaza().withdraw(Part::Sms);
    world.confirm_change(&tokens, confirm.clone()).await.expect_err("nobody to ask");
    world.plaza().publish(Part::Sms);
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(identifiers(&changed(world.confirm_change(&tokens, confirm).await.expect("now"))).len(), 2);
}

//! Codes, asked for or wrong, count with a network's misses.

use std::time::Duration;

use proto::sso::v1::{
    AuditEventKind as Kind, AuditReason as Reason, CompleteCodeSignInRequest, SendOtpRequest, SignUpResponse,
    StartCodeSignInRequest, complete_password_reset_response as reset, start_code_sign_in_request,
};
use tonic::{Code, Status};

use super::{account_from, from, sign_in, strict, wait};
use crate::{
    identifiers::{change_to, confirmation},
    recovery::{self, completion, forgot},
    refusals::told,
    throttle::{guess, is_in, missed, throttled},
    world::{self, Person, World, bearer, id, reason, verification, wrong},
};

#[tokio::test(start_paused = true)]
async fn codes_that_sign_in_count_with_a_networks_misses() {
    let world = World::by_code().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let (home, stranger) = ("203.0.113.7", "192.0.2.1");
    for at in 0..60 {
        let ask = asked(&format!("p{at}@example.com"));
        from(&world, stranger).start_code_sign_in(ask).await.expect("the same for everybody");
    }
    for address in ["one.more@example.com", &anna.address] {
        let refused = from(&world, stranger).start_code_sign_in(asked(address)).await.expect_err("one too many");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "SIGN_IN_THROTTLED"));
    }
    assert_eq!(world.messages(&anna.address).await.len(), 1, "that of her sign-up");
    let started = from(&world, home).start_code_sign_in(asked(&anna.address)).await.expect("another network");
    let verification_id = started.into_inner().verification.expect("a verification").verification_id;
    let code = world.code(&anna.address).await;
    let guess = |code: &str| CompleteCodeSignInRequest {
        request_id: id(),
        verification_id: verification_id.clone(),
        code: code.to_owned(),
        device_label: String::new(),
    };
    // Ten a minute for one identifier from one network: the ask was the first.
    for _ in 0..4 {
        from(&world, home).complete_code_sign_in(guess(&wrong(&code))).await.expect("told");
    }
    for _ in 0..5 {
        missed(sign_in(&world, home, &self::guess(&anna)).await);
    }
    let refused = from(&world, home).complete_code_sign_in(guess(&code)).await.expect_err("the eleventh");
    assert_eq!(reason(&refused), "SIGN_IN_THROTTLED");
    throttled(sign_in(&world, home, &anna).await);
    world.pass(Duration::from_secs(60)).await;
    from(&world, home).complete_code_sign_in(guess(&code)).await.expect("in");
    // Whoever proved the identifier has nothing to wait for, and is at home where they did.
    for _ in 0..5 {
        missed(sign_in(&world, stranger, &self::guess(&anna)).await);
    }
    throttled(sign_in(&world, stranger, &anna).await);
    is_in(sign_in(&world, home, &anna).await);
}

fn asked(address: &str) -> StartCodeSignInRequest {
    let identifier = Some(start_code_sign_in_request::Identifier::Email(address.to_owned()));
    StartCodeSignInRequest { request_id: id(), identifier }
}

#[tokio::test(start_paused = true)]
async fn resets_count_with_a_networks_misses() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let (home, stranger) = ("203.0.113.7", "192.0.2.1");
    let start = async |address: &str| from(&world, stranger).start_password_reset(forgot(address)).await;
    let pending = start(&anna.address).await.expect("a code").into_inner().verification.expect("a verification");
    let code = world.code(&anna.address).await;
    let guess = completion(&pending, &wrong(&code));
    from(&world, stranger).complete_password_reset(guess).await.expect("told");
    for at in 0..58 {
        start(&format!("p{at}@example.com")).await.expect("the same for everybody");
    }
    let refused = |status: Status| (status.code(), status.message().to_owned(), status.details().to_vec());
    let mut seen = Vec::new();
    for address in ["one.more@example.com", &anna.address] {
        let status = start(address).await.expect_err("one too many");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SIGN_IN_THROTTLED"));
        seen.push(refused(status));
    }
    assert_eq!(seen[0], seen[1], "whoever has an account");
    let right = completion(&pending, &code);
    let status = from(&world, stranger).complete_password_reset(right.clone()).await.expect_err("one more guess");
    assert_eq!(refused(status), seen[0]);
    throttled(sign_in(&world, stranger, &anna).await);
    // The two that asked and the one that guessed; whose account it was, nobody looked.
    assert_eq!(told(&world, &[Kind::ResetRefused]).await, [(Kind::ResetRefused, Reason::Throttled, String::new(), 3)]);
    // What was never compared costs no guess of the code.
    let set = from(&world, home).complete_password_reset(right).await.expect("another network").into_inner();
    assert!(matches!(set.outcome, Some(reset::Outcome::Success(_))), "{set:?}");
    is_in(sign_in(&world, home, &Person { password: recovery::NEW.to_owned(), ..anna }).await);
}

#[tokio::test(start_paused = true)]
async fn codes_that_verify_count_with_a_networks_misses() {
    let world = strict().await;
    let (home, stranger) = ("203.0.113.7", "192.0.2.1");
    let mut people = Vec::new();
    for at in 0..7 {
        let person = Person::with_email(&format!("person{at}"));
        let signed_up: SignUpResponse = world.sign_up(&person).await.expect("signs up");
        people.push((person, verification(&signed_up)));
    }
    world.pass(Duration::from_secs(60)).await;
    let ask = async |from_where: &str, at: usize| {
        let request = SendOtpRequest { request_id: id(), verification_id: people[at].1.clone() };
        from(&world, from_where).send_otp(request).await.map(drop)
    };
    for at in 0..6 {
        ask(stranger, at).await.expect("sent");
    }
    let status = ask(stranger, 6).await.expect_err("one too many");
    assert_eq!(wait(&status).0, "SIGN_IN_THROTTLED");
    assert_eq!(world.messages(&people[6].0.address).await.len(), 1, "that of the sign-up");
    ask(home, 6).await.expect("another network");
    world.pass(Duration::from_secs(60)).await;

    let codes = [world.code(&people[0].0.address).await, world.code(&people[1].0.address).await];
    let give = async |from_where: &str, at: usize, code: &str| {
        let answer = from(&world, from_where).verify_otp(world::guess(&people[at].1, code)).await?;
        Ok::<_, Status>(answer.into_inner())
    };
    for at in [0, 0, 0, 0, 1, 1] {
        world::failure(give(stranger, at, &wrong(&codes[at])).await.expect("told"));
    }
    let status = give(stranger, 0, &codes[0]).await.expect_err("one too many");
    assert_eq!(wait(&status).0, "SIGN_IN_THROTTLED");
    throttled(sign_in(&world, stranger, &people[6].0).await);
    // What was never compared cost no guess, and what is right costs nothing.
    for at in [0, 1] {
        world::success(give(home, at, &codes[at]).await.expect("in"));
    }
    for at in 0..6 {
        missed(sign_in(&world, home, &Person::with_email(&format!("nobody{at}"))).await);
    }
    throttled(sign_in(&world, home, &people[6].0).await);
    assert_eq!(
        told(&world, &[Kind::CodeNotSent, Kind::CodeRefused]).await,
        [
            (Kind::CodeNotSent, Reason::Throttled, String::new(), 1),
            (Kind::CodeRefused, Reason::Throttled, String::new(), 1),
            (Kind::CodeRefused, Reason::CodeWrong, String::new(), 2),
            (Kind::CodeRefused, Reason::CodeWrong, String::new(), 4),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn codes_for_another_identifier_count_with_a_networks_misses() {
    let world = strict().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let (home, stranger) = ("203.0.113.7", "192.0.2.1");
    let start = async |from_where: &str, address: &str| {
        let request = bearer(change_to(address, ""), &tokens.access_token);
        let answer = account_from(&world, from_where).start_identifier_change(request).await?;
        Ok::<_, Status>(answer.into_inner().verification.expect("a verification"))
    };
    for at in 0..6 {
        start(stranger, &format!("p{at}@example.com")).await.expect("sent");
    }
    assert_eq!(wait(&start(stranger, "p6@example.com").await.expect_err("one too many")).0, "SIGN_IN_THROTTLED");
    assert!(world.messages("p6@example.com").await.is_empty());
    let pending = start(home, "p6@example.com").await.expect("another network");
    let code = world.code("p6@example.com").await;
    let confirm = async |from_where: &str, code: &str| {
        let request = bearer(confirmation(&pending, code), &tokens.access_token);
        account_from(&world, from_where).confirm_identifier_change(request).await.map(drop)
    };
    assert_eq!(wait(&confirm(stranger, &code).await.expect_err("no guesses either")).0, "SIGN_IN_THROTTLED");
    for _ in 0..4 {
        confirm(home, &wrong(&code)).await.expect("told");
    }
    confirm(home, &code).await.expect("hers");
    let throttled = Person { address: "p6@example.com".to_owned(), ..Person::with_email("anna") };
    is_in(sign_in(&world, home, &throttled).await);
    missed(sign_in(&world, home, &guess(&throttled)).await);
    self::throttled(sign_in(&world, home, &throttled).await);
}

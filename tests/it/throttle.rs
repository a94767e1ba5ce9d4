//! Guessing passwords: how often, from where, and what it tells.

use std::{
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Duration,
};

use mesh::{Router, access::ClientAddress};
use onebox::Part;
use proto::sso::v1::{
    ChangePasswordRequest, CompleteCodeSignInRequest, DeleteAccountRequest, SignInRequest, SignInResponse,
    StartCodeSignInRequest, auth_service_client::AuthServiceClient, complete_password_reset_response as reset,
    sign_in_response::Outcome, start_code_sign_in_request,
};
use tokio::task::JoinSet;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
};

use crate::{
    recovery::{self, completion, forgot},
    world::{Person, World, bearer, id, reason, wrong},
};

/// SSO, as it is seen from an address: what a socket would say of itself.
#[derive(Clone)]
struct Seen(Router, IpAddr);

impl Service<http::Request<Body>> for Seen {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <Router as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request.extensions_mut().insert(ClientAddress(self.1));
        self.0.call(request)
    }
}

fn from(world: &World, address: &str) -> AuthServiceClient<Seen> {
    let router = world.plaza().router(Part::Sso).expect("it runs");
    AuthServiceClient::new(Seen(router, address.parse().expect("an address")))
}

async fn sign_in(world: &World, address: &str, person: &Person) -> Result<SignInResponse, Status> {
    from(world, address).sign_in(person.sign_in()).await.map(tonic::Response::into_inner)
}

fn guess(person: &Person) -> Person {
    Person { password: "not the password".to_owned(), ..person.clone() }
}

fn throttled(answer: Result<SignInResponse, Status>) -> Duration {
    let status = answer.expect_err("one too many");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SIGN_IN_THROTTLED"));
    mesh::failure::retry_delay(&status).expect("RetryInfo")
}

fn missed(answer: Result<SignInResponse, Status>) {
    assert_eq!(reason(&answer.expect_err("wrong")), "CREDENTIALS_INVALID");
}

fn is_in(answer: Result<SignInResponse, Status>) {
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

#[tokio::test(start_paused = true)]
async fn strangers_do_not_shut_the_owner_out() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let (home, hotel, stranger) = ("203.0.113.7", "198.51.100.9", "192.0.2.1");
    is_in(sign_in(&world, home, &anna).await);
    for _ in 0..5 {
        missed(sign_in(&world, stranger, &guess(&anna)).await);
    }
    throttled(sign_in(&world, stranger, &anna).await);
    throttled(sign_in(&world, hotel, &anna).await);
    is_in(sign_in(&world, home, &anna).await);
    throttled(sign_in(&world, stranger, &anna).await);
    // Nor is home a place to guess from for ever.
    for _ in 0..5 {
        missed(sign_in(&world, home, &guess(&anna)).await);
    }
    throttled(sign_in(&world, home, &anna).await);
}

#[tokio::test(start_paused = true)]
async fn a_network_has_sixty_misses_a_minute() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    for at in 0..60 {
        // One owner of a /64, by another address each time.
        let address = format!("2001:db8:1:2::{at:x}");
        missed(sign_in(&world, &address, &Person::with_email(&format!("p{at}"))).await);
        is_in(sign_in(&world, "2001:db8:1:3::1", &anna).await);
    }
    let wait = throttled(sign_in(&world, "2001:db8:1:2:ffff::", &anna).await);
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
    is_in(sign_in(&world, "2001:db8:1:3::1", &anna).await);
    world.pass(wait).await;
    is_in(sign_in(&world, "2001:db8:1:2::1", &anna).await);
}

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
    let mut told = Vec::new();
    for address in ["one.more@example.com", &anna.address] {
        let status = start(address).await.expect_err("one too many");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "SIGN_IN_THROTTLED"));
        told.push(refused(status));
    }
    assert_eq!(told[0], told[1], "whoever has an account");
    let right = completion(&pending, &code);
    let status = from(&world, stranger).complete_password_reset(right.clone()).await.expect_err("one more guess");
    assert_eq!(refused(status), told[0]);
    throttled(sign_in(&world, stranger, &anna).await);
    // What was never compared costs no guess of the code.
    let set = from(&world, home).complete_password_reset(right).await.expect("another network").into_inner();
    assert!(matches!(set.outcome, Some(reset::Outcome::Success(_))), "{set:?}");
    is_in(sign_in(&world, home, &Person { password: recovery::NEW.to_owned(), ..anna }).await);
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

fn asked(address: &str) -> StartCodeSignInRequest {
    let identifier = Some(start_code_sign_in_request::Identifier::Email(address.to_owned()));
    StartCodeSignInRequest { request_id: id(), identifier }
}

#[tokio::test(start_paused = true)]
async fn a_forwarding_header_moves_nobody() {
    let world = World::start().await;
    for at in 0..61 {
        let mut request = tonic::Request::new(Person::with_email(&format!("p{at}")).sign_in());
        let elsewhere = format!("198.51.100.{at}").parse().expect("ASCII");
        request.metadata_mut().insert("x-forwarded-for", elsewhere);
        let answer = from(&world, "192.0.2.1").sign_in(request).await.map(tonic::Response::into_inner);
        if at < 60 {
            missed(answer);
        } else {
            throttled(answer);
        }
    }
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

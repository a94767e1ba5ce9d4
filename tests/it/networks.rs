//! What one network may try: passwords, codes and sign-ups.

mod codes;

use std::{
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
    time::Duration,
};

use mesh::{Router, access::ClientAddress};
use onebox::Part;
use proto::sso::v1::{
    AuditEventKind as Kind, AuditReason as Reason, DeleteAccountRequest, ListAuditEventsRequest, SignInResponse,
    account_service_client::AccountServiceClient, auth_service_client::AuthServiceClient,
};
use tokio::task::JoinSet;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
};

use crate::{
    audit::list,
    recovery::forgot,
    refusals::told,
    throttle::{guess, is_in, missed, throttled},
    world::{Person, World, bearer, id, reason},
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

fn account_from(world: &World, address: &str) -> AccountServiceClient<Seen> {
    let router = world.plaza().router(Part::Sso).expect("it runs");
    AccountServiceClient::new(Seen(router, address.parse().expect("an address")))
}

/// A world whose networks have six tries a minute, and six sign-ups an hour.
async fn strict() -> World {
    World::with(|config| {
        (config.sso.throttle.network_per_minute, config.sso.throttle.sign_ups_per_hour) = (6, 6);
    })
    .await
}

/// The reason of a refusal, and how long to wait.
fn wait(status: &Status) -> (String, Duration) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    (reason(status), mesh::failure::retry_delay(status).expect("RetryInfo"))
}

async fn sign_in(world: &World, address: &str, person: &Person) -> Result<SignInResponse, Status> {
    from(world, address).sign_in(person.sign_in()).await.map(tonic::Response::into_inner)
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
async fn a_network_has_so_many_sign_ups_an_hour() {
    let world = strict().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let sign_up = async |address: &str, request| from(&world, address).sign_up(request).await;
    let first = Person::with_email("person0").sign_up();
    sign_up("2001:db8:1:2::1", first.clone()).await.expect("signs up");
    for at in 1..6 {
        let taken = Person { address: format!("q{at}@example.com"), ..Person::with_email("person0") };
        let status = sign_up("2001:db8:1:2::1", taken.sign_up()).await.expect_err("nobody is created");
        assert_eq!(reason(&status), "USERNAME_TAKEN");
        let person = Person::with_email(&format!("person{at}"));
        sign_up(&format!("2001:db8:1:2::{at:x}"), person.sign_up()).await.expect("signs up");
        sign_up("2001:db8:1:2::1", first.clone()).await.expect("a repeat is none");
    }
    let mut refused = Vec::new();
    for address in ["free@example.com", &anna.address] {
        let person = Person { address: address.to_owned(), ..Person::with_email("person6") };
        let before = world.trace().text().len();
        let status = sign_up("2001:db8:1:2:ffff::", person.sign_up()).await.expect_err("one too many");
        assert!(!world.trace().text()[before..].contains("a password is hashed"), "at no cost");
        refused.push((wait(&status), status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(refused[0], refused[1], "whoever has the address");
    assert_eq!(refused[0].0.0, "SIGN_UP_THROTTLED");
    assert_eq!(world.messages(&anna.address).await.len(), 1, "that of her own sign-up");
    sign_up("2001:db8:1:2::1", first).await.expect("a repeat is none");
    sign_up("2001:db8:1:3::1", Person::with_email("person6").sign_up())
        .await
        .expect("another network, and the name is free");
    let throttled = (Kind::SignUpRefused, Reason::Throttled, String::new(), 2);
    assert!(told(&world, &[Kind::SignUpRefused]).await.contains(&throttled));
    world.pass(refused[0].0.1).await;
    sign_up("2001:db8:1:2::1", Person::with_email("person7").sign_up()).await.expect("an hour later");
}

#[tokio::test(start_paused = true)]
async fn a_listed_proxy_says_whom_it_speaks_for() {
    let world = World::with(|config| {
        config.sso.throttle.network_per_minute = 6;
        config.sso.proxies = vec!["10.0.0.0/8".to_owned()].try_into().expect("a network");
    })
    .await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let by_proxy = async |header: &str, person: &Person| {
        let mut request = tonic::Request::new(person.sign_in());
        request.metadata_mut().insert("x-forwarded-for", header.parse().expect("ASCII"));
        from(&world, "10.1.2.3").sign_in(request).await.map(tonic::Response::into_inner)
    };
    for at in 0..6 {
        // Whoever calls writes what they like before the proxy does.
        missed(by_proxy(&format!("203.0.113.{at}, 192.0.2.1"), &Person::with_email(&format!("p{at}"))).await);
    }
    throttled(by_proxy("203.0.113.9, 192.0.2.1", &anna).await);
    throttled(sign_in(&world, "192.0.2.1", &anna).await);
    is_in(by_proxy("192.0.2.2", &anna).await);
    let signed_in = list(&world, ListAuditEventsRequest { kinds: vec![Kind::SignedIn.into()], ..Default::default() });
    assert_eq!(signed_in.await.expect("a page").events[0].network, "192.0.2.0/24");
}

/// OWASP ASVS 5.0, 16.5.3: where a try cannot be counted, nothing is compared and nothing is sent.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_counted_is_not_tried() {
    let fate = |job| if job == "count_try" { db::Fate::Refuse } else { db::Fate::Run };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(fate))].into(), ..Default::default() };
    let world = World::with_faults(faults).await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let before = (world.messages(&anna.address).await.len(), world.trace().text().len());
    let address = "192.0.2.1";
    let signed_in = sign_in(&world, address, &anna).await.expect_err("with the right password");
    let reset = from(&world, address).start_password_reset(forgot(&anna.address)).await.expect_err("no code");
    for status in [signed_in, reset] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    assert_eq!(world.messages(&anna.address).await.len(), before.0);
    assert!(!world.trace().text()[before.1..].contains("a password is hashed"));
}

/// The count in the commit (`SignUps::count`): all of them found that there is room.
#[tokio::test(flavor = "multi_thread")]
async fn of_sign_ups_at_once_a_network_has_no_more() {
    let world = World::start_with(|config| config.sso.throttle.sign_ups_per_hour = 6, onebox::Edge::system()).await;
    let mut racing = JoinSet::new();
    for at in 0..24 {
        let mut auth = from(&world, "192.0.2.1");
        let request = Person::with_email(&format!("person{at}")).sign_up();
        racing.spawn(
            async move { auth.sign_up(request).await.map_or_else(|status| reason(&status), |_| "OK".to_owned()) },
        );
    }
    let all = racing.join_all().await;
    let count = |what: &str| all.iter().filter(|one| *one == what).count();
    assert_eq!((count("OK"), count("SIGN_UP_THROTTLED")), (6, 18), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn passwords_of_those_who_are_signed_in_count_with_a_networks_misses() {
    let world = strict().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let (user, annas) = world.join(&anna).await;
    let (_, bens) = world.join(&ben).await;
    let delete = async |from_where: &str, token: &str, password: &str| {
        let request = DeleteAccountRequest { request_id: id(), password: password.to_owned() };
        account_from(&world, from_where).delete_account(bearer(request, token)).await.map(drop)
    };
    for at in 0..3 {
        for token in [&annas.access_token, &bens.access_token] {
            let status = delete(&format!("2001:db8:1:2::{at}"), token, "not the password").await.expect_err("wrong");
            assert_eq!(reason(&status), "CREDENTIALS_INVALID");
        }
    }
    let status = delete("2001:db8:1:2::9", &annas.access_token, &anna.password).await.expect_err("one too many");
    assert_eq!(wait(&status).0, "SIGN_IN_THROTTLED");
    throttled(sign_in(&world, "2001:db8:1:2::9", &ben).await);
    is_in(sign_in(&world, "2001:db8:1:3::9", &anna).await);
    delete("2001:db8:1:3::9", &annas.access_token, &anna.password).await.expect("another network");
    let told = told(&world, &[Kind::PasswordRefused]).await;
    assert!(told.contains(&(Kind::PasswordRefused, Reason::Throttled, String::new(), 1)), "{told:?} of {user:?}");
}

//! Flows 1 and 2: a person signs up, Social and Blog know them, a code reaches them, and the code verifies them.

use std::time::Duration;

use onebox::Part;
use proto::{
    blog::v1 as blog,
    social::v1 as social,
    sso::v1::{
        self as sso, AccountType, CodeDelivery, OfficialTier, ProvisioningState, Target,
        sign_in_response::Outcome as SignedIn,
    },
};
use tokio::task::JoinSet;
use tonic::Code;

use crate::world::{Person, World, bearer, reason, state, success, verification};

#[tokio::test(start_paused = true)]
async fn a_customer_signs_up_by_email() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let user = signed_up.user.as_ref().expect("a user");
    assert!(!user.is_verified);
    assert_eq!((user.username.as_str(), user.account_type(), user.version), ("anna", AccountType::Customer, 1));
    assert_eq!(state(&signed_up.provisioning, Target::Social), ProvisioningState::Done);
    assert_eq!(state(&signed_up.provisioning, Target::Blog), ProvisioningState::Done);
    let pending = signed_up.verification.as_ref().expect("a verification");
    assert_eq!((pending.delivery(), pending.masked_destination.as_str()), (CodeDelivery::Sent, "a•••@example.com"));
    assert_eq!(pending.guesses_left, 5);

    let messages = world.messages("anna@example.com").await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].reference, pending.reference);
    assert!(messages[0].text.contains(&messages[0].code) && messages[0].text.contains(&pending.reference));

    let (verified, tokens) =
        success(world.verify(&pending.verification_id, &messages[0].code).await.expect("verifies"));
    assert!(verified.is_verified && verified.identifiers[0].is_verified);
    let account = world.account().get_account(bearer(sso::GetAccountRequest {}, &tokens.access_token)).await;
    assert_eq!(account.expect("the token is honoured").into_inner().user.expect("a user").id, user.id);
}

#[tokio::test(start_paused = true)]
async fn an_official_account_signs_up_by_phone_in_any_spelling() {
    let world = World::start().await;
    let shop = Person::with_phone("Cà.Phê", "+84 (0)912-345-678").official();
    let signed_up = world.sign_up(&shop).await.expect("signs up");
    let user = signed_up.user.as_ref().expect("a user");
    assert_eq!((user.account_type(), user.official_tier()), (AccountType::Official, OfficialTier::Unverified));
    let number = Some(sso::identifier::Value::PhoneNumber("+84912345678".to_owned()));
    assert_eq!(user.identifiers[0].value, number);
    let code = world.code("+84912345678").await;
    let (user, _) = success(world.verify(&verification(&signed_up), &code).await.expect("verifies"));
    assert!(user.is_verified);
    let profile = world.profiles().get_profile(by_name("CÀ.PHÊ")).await.expect("known").into_inner().profile;
    let profile = profile.expect("a profile");
    assert_eq!(profile.official_tier(), social::OfficialTier::Unverified);
    assert_eq!((profile.username.as_str(), profile.user_id), ("Cà.Phê", user.id));
}

#[tokio::test(start_paused = true)]
async fn social_and_blog_know_the_person_and_honour_the_token() {
    let world = World::start().await;
    let (user, tokens) = world.join(&Person::with_email("anna")).await;
    let author = blog::GetAuthorRequest { key: Some(blog::get_author_request::Key::UserId(user.id.clone())) };
    let author = world.authors().get_author(author).await.expect("known").into_inner().author.expect("an author");
    assert_eq!((author.username.as_str(), author.display_name.as_str()), ("anna", "anna"));

    let change = social::UpdateProfileRequest { display_name: Some("Ánna 🌸 山田".to_owned()), about: None };
    let changed = world.profiles().update_profile(bearer(change.clone(), &tokens.access_token)).await;
    assert_eq!(changed.expect("honoured").into_inner().profile.expect("a profile").display_name, "Ánna 🌸 山田");
    let seen = world.profiles().get_profile(by_name("anna")).await.expect("known").into_inner().profile;
    assert_eq!(seen.expect("a profile").display_name, "Ánna 🌸 山田");

    let broken = format!("{}x", tokens.access_token);
    let refused = world.profiles().update_profile(bearer(change, &broken)).await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_had_again_with_the_same_request_id() {
    let world = World::start().await;
    let request = Person::with_email("anna").sign_up();
    let first = world.auth().sign_up(request.clone()).await.expect("signs up").into_inner();
    let again = world.auth().sign_up(request.clone()).await.expect("answers again").into_inner();
    assert_eq!(first, again);
    assert_eq!(world.messages("anna@example.com").await.len(), 1, "a second message went out");

    let other = sso::SignUpRequest { username: "anneke".to_owned(), ..request };
    let refused = world.auth().sign_up(other).await.expect_err("another request");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "REQUEST_ID_REUSED"));
}

#[tokio::test(start_paused = true)]
async fn one_request_in_eight_calls_at_once_is_one_user() {
    let world = World::start().await;
    let request = Person::with_email("anna").sign_up();
    let calls = (0..8).map(|_| {
        let (mut auth, request) = (world.auth(), request.clone());
        tokio::spawn(
            async move { auth.sign_up(request).await.expect("signs up").into_inner().user.expect("a user").id },
        )
    });
    let mut ids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        ids.push(call.await.expect("it ran"));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.messages("anna@example.com").await.len(), 1);
}

/// The unique index of `store::users::insert`: all of them find the name free before they hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_username_has_one_winner() {
    let world = World::threaded().await;
    for round in 0..6 {
        let mut racing = JoinSet::new();
        for (at, name) in ["Anna", "anna", "ANNA", "ａnna", "aNNa", "AnnA", "annA", "ANNa"].iter().enumerate() {
            let address = format!("p{round}.{at}@example.com");
            let person = Person { username: format!("{name}{round}"), address, ..Person::with_email("anna") };
            let mut auth = world.auth();
            racing.spawn(async move { auth.sign_up(person.sign_up()).await });
        }
        let (winners, losers): (Vec<_>, Vec<_>) = racing.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((winners.len(), losers.len()), (1, 7));
        for status in losers.into_iter().filter_map(Result::err) {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "USERNAME_TAKEN"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sms_down_at_sign_up_creates_the_user_and_the_code_comes_later() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Sms);
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up all the same");
    let pending = signed_up.verification.as_ref().expect("a verification");
    assert_eq!(pending.delivery(), CodeDelivery::NotSent);
    let refused = world.send(&pending.verification_id).await.expect_err("SMS is down");
    assert_eq!(refused.code(), Code::Unavailable);

    world.plaza().publish(Part::Sms);
    let sent = world.send(&pending.verification_id).await.expect("SMS is back").verification.expect("a verification");
    assert_eq!(sent.delivery(), CodeDelivery::Sent);
    let code = world.code("anna@example.com").await;
    success(world.verify(&pending.verification_id, &code).await.expect("verifies"));
}

#[tokio::test(start_paused = true)]
async fn an_operator_creates_users_vouched_for_or_not() {
    let world = World::start().await;
    let request = |vouch_identifier: bool, name: &str| sso::CreateUserRequest {
        request_id: crate::world::id(),
        identifier: Some(sso::create_user_request::Identifier::Email(format!("{name}@example.com"))),
        password: "correct horse battery".to_owned(),
        username: name.to_owned(),
        account_type: AccountType::Official.into(),
        official_tier: OfficialTier::Premium.into(),
        vouch_identifier,
    };
    let made = world.users().create_user(world.as_operator(request(true, "bank"))).await.expect("made").into_inner();
    let user = made.user.expect("a user");
    assert!(user.is_verified && made.verification.is_none());
    assert_eq!(user.official_tier(), OfficialTier::Premium);
    assert!(made.provisioning.iter().all(|one| one.state() == ProvisioningState::Done));
    let bank = Person::with_email("bank");
    assert!(matches!(
        world.sign_in(&bank).await.expect("signs in").outcome,
        Some(sso::sign_in_response::Outcome::Tokens(_))
    ));

    let left = world.users().create_user(world.as_operator(request(false, "shop"))).await.expect("made").into_inner();
    assert!(!left.user.expect("a user").is_verified);
    assert_eq!(left.verification.expect("a verification").delivery(), CodeDelivery::NotSent);
    assert!(world.messages("shop@example.com").await.is_empty(), "CreateUser sends nothing");

    for vouched in [true, false] {
        let mut rival = request(vouched, "bank2");
        rival.identifier = Some(sso::create_user_request::Identifier::Email("bank@example.com".to_owned()));
        let refused = world.users().create_user(world.as_operator(rival)).await.expect_err("somebody has it");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "IDENTIFIER_TAKEN"));
    }
}

#[tokio::test(start_paused = true)]
async fn signing_up_with_somebodys_address_looks_the_same_and_gives_no_code() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let before = world.messages(&anna.address).await.len();
    world.pass(Duration::from_secs(60)).await;
    let squatter = Person { username: "mallory".to_owned(), password: "another password".to_owned(), ..anna.clone() };
    let answer = world.sign_up(&squatter).await.expect("looks like any sign-up");
    let pending = answer.verification.as_ref().expect("a verification");
    assert_eq!((pending.delivery(), pending.guesses_left), (CodeDelivery::Sent, 5));
    let messages = world.messages(&anna.address).await;
    assert_eq!(messages.len(), before + 1, "the owner gets a notice");
    assert!(messages[0].code.is_empty(), "a notice has no code");
    assert!(world.sign_in(&anna).await.is_ok(), "the owner signs in as ever");
    let answer = world.sign_in(&squatter).await.expect("asked for a code, as where nobody has the address");
    assert!(matches!(answer.outcome, Some(SignedIn::Verification(_))), "{answer:?}");
}

/// What a squatter is told of an own claim must not change when somebody else proves the address.
#[tokio::test(start_paused = true)]
async fn an_unverified_claim_does_not_block_the_owner_and_comes_to_nothing() {
    let world = World::start().await;
    let squatter =
        Person { username: "mallory".to_owned(), password: "squatter's own".to_owned(), ..Person::with_email("anna") };
    let anna = Person::with_email("anna");
    let annas = world.sign_up(&anna).await.expect("claims it");
    world.pass(Duration::from_secs(60)).await;
    let (claim, code) = (squatter.sign_up(), world.code(&anna.address).await);
    let squatted = world.auth().sign_up(claim.clone()).await.expect("claims it, too").into_inner();
    let (user, _) = success(world.verify(&verification(&annas), &code).await.expect("is first"));
    assert_eq!(user.username, "anna");

    let again = world.auth().sign_up(claim).await.expect("a repeat").into_inner();
    assert_eq!(again.verification, squatted.verification, "the answer is the first");
    // Even the code that came before the address was the owner's is worth nothing.
    let refused = world.verify(&verification(&squatted), &world.code(&anna.address).await).await;
    assert_eq!(reason(&refused.expect_err("the address is taken")), "VERIFICATION_NOT_FOUND");
    let answer = world.sign_in(&squatter).await.expect("asked for a code, as before");
    let Some(SignedIn::Verification(pending)) = answer.outcome else { panic!("{answer:?}") };
    world.pass(Duration::from_secs(600)).await;
    let sent = world.send(&pending.verification_id).await.expect("looks like any").verification.expect("one");
    assert_eq!((sent.delivery(), sent.guesses_left), (CodeDelivery::Sent, 5));
    assert!(world.messages(&anna.address).await[0].code.is_empty(), "the owner gets a notice");
    assert!(matches!(world.sign_in(&anna).await.expect("signs in").outcome, Some(SignedIn::Tokens(_))));
}

/// `is_claim`: the newest claim is the one that is compared, and goes on being that when its user has proven it. An address that came by a change or by an
/// operator's word is no claim.
#[tokio::test(start_paused = true)]
async fn only_a_newer_sign_up_takes_a_claims_place() {
    let world = World::start().await;
    let claims = async |world: &World, name: &str| {
        let squatter = Person { username: format!("squats.{name}"), ..Person::with_email(name) };
        let squatter = Person { password: "squatter's own".to_owned(), ..squatter };
        world.sign_up(&squatter).await.expect("claims it");
        world.pass(Duration::from_secs(120)).await;
        squatter
    };
    let annas = claims(&world, "anna").await;
    let older = world.sign_up(&Person::with_email("anna")).await.expect("claims it later");
    assert_eq!(reason(&world.sign_in(&annas).await.expect_err("an older claim")), "CREDENTIALS_INVALID");
    let code = world.code(&annas.address).await;
    success(world.verify(&verification(&older), &code).await.expect("proves it"));
    assert_eq!(reason(&world.sign_in(&annas).await.expect_err("as before")), "CREDENTIALS_INVALID");

    let banks = claims(&world, "bank").await;
    world.users().create_user(world.as_operator(Person::with_email("bank").create())).await.expect("created");
    let doras = claims(&world, "dora").await;
    let (_, tokens) = world.join(&Person::with_phone("dora", "+84912345678")).await;
    world.change_identifier(&tokens, &doras.address).await;
    for squatter in [banks, doras] {
        let answer = world.sign_in(&squatter).await.expect("asked for a code, as before");
        assert!(matches!(answer.outcome, Some(SignedIn::Verification(_))), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn peers_take_the_same_create_any_number_of_times() {
    let world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    let channel = world.plaza().peer(Part::Social, Part::Sso).expect("it runs");
    let mut users = social::user_service_client::UserServiceClient::new(channel);
    let older = social::User {
        id: user.id.clone(),
        username: "another".to_owned(),
        account_type: social::AccountType::Customer.into(),
        official_tier: 0,
        version: 1,
    };
    let kept = users.create_user(social::CreateUserRequest { user: Some(older) }).await.expect("OK").into_inner();
    assert_eq!(kept.user.expect("a user").username, "anna", "an equal version changes nothing");
}

fn by_name(name: &str) -> social::GetProfileRequest {
    social::GetProfileRequest { key: Some(social::get_profile_request::Key::Username(name.to_owned())) }
}

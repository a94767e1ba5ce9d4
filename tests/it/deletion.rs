//! Users change and go, and Social and Blog follow, whatever is down when.

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::{
    AccountType, DeleteAccountRequest, GetAccountRequest, OfficialTier, ProvisioningState, Target, UpdateUserRequest,
};
use tonic::Code;

use crate::world::{Person, World, bearer, id, nobody, reason, state};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_operator_raises_an_account_and_both_targets_follow() {
    let world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    let raised = world.make_official(&user.id, OfficialTier::Premium).await.expect("raised");
    let after = raised.user.expect("a user");
    assert_eq!(
        (after.account_type(), after.official_tier(), after.version),
        (AccountType::Official, OfficialTier::Premium, 2)
    );
    assert!(raised.provisioning.iter().all(|one| one.state() == ProvisioningState::Done), "{:?}", raised.provisioning);
    world.agree(&user.id, "after the change").await;

    let again = world.make_official(&user.id, OfficialTier::Premium).await.expect("so already");
    assert_eq!(again.user.expect("a user").version, 2, "nothing changed, nobody is told");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_made_once_for_a_request_id() {
    let world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    let first = crate::targets::change(&user.id, OfficialTier::Verified);
    world.update(first.clone()).await.expect("made");
    world.make_official(&user.id, OfficialTier::Premium).await.expect("made");
    let replayed = world.update(first.clone()).await.expect("replayed").user.expect("a user");
    assert_eq!(
        (replayed.official_tier(), replayed.version),
        (OfficialTier::Premium, 3),
        "a repeat changes nothing back"
    );
    let other = UpdateUserRequest { official_tier: OfficialTier::Unverified.into(), ..first };
    assert_eq!(reason(&world.update(other).await.expect_err("another request")), "REQUEST_ID_REUSED");
    let refused = world.make_official(&nobody(), OfficialTier::Premium).await.expect_err("nobody");
    assert_eq!(reason(&refused), "USER_NOT_FOUND");
    let customer = UpdateUserRequest {
        account_type: AccountType::Customer.into(),
        ..crate::targets::change(&user.id, OfficialTier::Premium)
    };
    assert_eq!(world.update(customer).await.expect_err("a customer has no tier").code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_is_gone_everywhere_and_its_names_are_free() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    let request_id = id();
    let gone = world.delete(&request_id, &user.id).await.expect("deleted");
    assert!(gone.iter().all(|one| one.state() == ProvisioningState::Done), "{gone:?}");
    assert_eq!(world.sso_knows(&user.id).await, None);
    world.agree(&user.id, "after the deletion").await;
    assert_eq!(reason(&world.sign_in(&anna).await.expect_err("gone")), "CREDENTIALS_INVALID");
    let account = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
    assert!(account.is_err(), "a token outlives its account: {account:?}");

    world.delete(&request_id, &user.id).await.expect("a repeat has the outcome of the first");
    assert_eq!(reason(&world.delete(&id(), &user.id).await.expect_err("gone")), "USER_NOT_FOUND");
    // A message to one address is followed by the next after a while alone.
    world.pass(Duration::from_secs(60)).await;
    let (again, _) = world.join(&anna).await;
    assert_ne!(again.id, user.id, "the same name and address, and another user");
    world.agree(&again.id, "after signing up again").await;
}

#[tokio::test(start_paused = true)]
async fn a_person_deletes_their_own_account_with_their_password() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    let wrong = DeleteAccountRequest { request_id: id(), password: "not my password".to_owned() };
    let refused =
        world.account().delete_account(bearer(wrong, &tokens.access_token)).await.expect_err("wrong password");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    assert!(world.sso_knows(&user.id).await.is_some());

    let right = DeleteAccountRequest { request_id: id(), password: anna.password.clone() };
    world.account().delete_account(bearer(right, &tokens.access_token)).await.expect("deleted");
    assert_eq!(world.sso_knows(&user.id).await, None);
    world.agree(&user.id, "after the deletion").await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_owed_until_a_target_that_was_down_has_heard_of_it() {
    let mut world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    world.plaza().withdraw(Part::Blog);
    let gone = world.delete(&id(), &user.id).await.expect("deleted all the same");
    assert_eq!(state(&gone, Target::Blog), ProvisioningState::Pending);
    assert_eq!(state(&gone, Target::Social), ProvisioningState::Done);
    assert!(world.blog_knows(&user.id).await.is_some());
    assert_eq!(
        state(&world.provisioning(&user.id).await, Target::Blog),
        ProvisioningState::Pending,
        "operators see it"
    );

    world.restart().await;
    world.settled().await;
    world.agree(&user.id, "after the restart").await;
    let request = world.as_operator(proto::sso::v1::GetProvisioningRequest { user_id: user.id.clone() });
    let refused = world.users().get_provisioning(request).await.expect_err("the tombstone went with the last debt");
    assert_eq!(reason(&refused), "USER_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn a_user_deleted_before_a_target_ever_knew_it_never_appears_there() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Social);
    let user_id = world.sign_up(&Person::with_email("anna")).await.expect("signs up").user.expect("a user").id;
    world.delete(&id(), &user_id).await.expect("deleted");
    world.plaza().publish(Part::Social);
    world.settled().await;
    world.agree(&user_id, "after the outage").await;
}

#[tokio::test(start_paused = true)]
async fn sign_ups_that_are_never_verified_are_reaped_everywhere() {
    let world = World::start().await;
    let (verified, _) = world.join(&Person::with_email("anna")).await;
    let ghost = Person::with_email("ghost");
    let ghost_id = world.sign_up(&ghost).await.expect("signs up").user.expect("a user").id;
    world.live(23 * HOUR).await;
    let late = world.sign_up(&Person::with_email("late")).await.expect("signs up").user.expect("a user").id;
    assert!(world.sso_knows(&ghost_id).await.is_some(), "a day is not over");

    world.live(HOUR).await;
    world.pass(Duration::from_secs(120)).await;
    world.settled().await;
    assert_eq!(world.sso_knows(&ghost_id).await, None);
    world.agree(&ghost_id, "after the reaper").await;
    for user_id in [&verified.id, &late] {
        assert!(world.sso_knows(user_id).await.is_some());
        world.agree(user_id, "after the reaper").await;
    }
    world.join(&ghost).await;
}

#[tokio::test(start_paused = true)]
async fn the_reaper_works_while_a_target_is_down() {
    let world = World::start().await;
    let ghost = world.sign_up(&Person::with_email("ghost")).await.expect("signs up").user.expect("a user").id;
    world.plaza().withdraw(Part::Blog);
    world.live(25 * HOUR).await;
    world.pass(Duration::from_secs(120)).await;
    assert_eq!((world.sso_knows(&ghost).await, world.social_knows(&ghost).await), (None, None));
    assert!(world.blog_knows(&ghost).await.is_some());
    world.plaza().publish(Part::Blog);
    world.settled().await;
    world.agree(&ghost, "after the outage").await;
}

//! What is owed, as operators see it; and what an outage costs.

use std::time::Duration;

use onebox::Part;
use proto::{
    blog::v1::{self as blog, user_service_client::UserServiceClient as BlogUsers},
    sso::v1::{
        self as sso, ListProvisioningRequest, ProvisioningState, RetryProvisioningRequest, Target,
        retry_provisioning_request::Scope,
    },
};
use tonic::Code;

use crate::world::{Person, World, nobody, reason};

/// Signs up `count` people, one after the other.
async fn crowd(world: &World, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let signed_up = world.sign_up(&Person::with_email(&format!("person{number}"))).await.expect("signs up");
        ids.push(signed_up.user.expect("a user").id);
    }
    ids
}

async fn retry(world: &World, scope: Scope) -> Result<i32, tonic::Status> {
    let request = world.as_operator(RetryProvisioningRequest { scope: Some(scope) });
    Ok(world.users().retry_provisioning(request).await?.into_inner().retried)
}

/// Has Blog bury a user that SSO has not created yet at that version, so that it refuses the user for good.
async fn bury_in_blog(world: &World, user_id: &str, version: i64) {
    let channel = world.plaza().peer(Part::Blog, Part::Sso).expect("it runs");
    let request = blog::DeleteUserRequest { user_id: user_id.to_owned(), version };
    BlogUsers::new(channel).delete_user(request).await.expect("buried");
}

#[tokio::test(start_paused = true)]
async fn debts_are_listed_by_target_and_state_page_by_page() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Social);
    let mut ids = crowd(&world, 7).await;
    ids.sort();
    for page_size in [1, 2, 7, 100] {
        let listed = world.owed(ListProvisioningRequest { page_size, ..Default::default() }).await;
        assert!(
            listed.is_sorted_by_key(|owed| owed.owed_since.map(|since| (since.seconds, since.nanos))),
            "{listed:?}"
        );
        let mut listed: Vec<_> = listed.into_iter().map(|owed| owed.user_id).collect();
        // Some were made within one millisecond.
        listed.sort();
        assert_eq!(listed, ids, "pages of {page_size}");
    }
    let of = |target: Target, state: ProvisioningState| ListProvisioningRequest {
        target: target.into(),
        state: state.into(),
        ..Default::default()
    };
    assert_eq!(world.owed(of(Target::Social, ProvisioningState::Pending)).await.len(), 7);
    assert!(world.owed(of(Target::Social, ProvisioningState::Parked)).await.is_empty());
    assert!(world.owed(of(Target::Blog, ProvisioningState::Unspecified)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_page_token_is_good_for_its_own_listing_alone() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Social);
    crowd(&world, 2).await;
    let ask = ListProvisioningRequest { page_size: 1, ..Default::default() };
    let page = world.users().list_provisioning(world.as_operator(ask.clone())).await.expect("a page").into_inner();
    assert!(!page.next_page_token.is_empty());
    let elsewhere = [
        ListProvisioningRequest {
            target: Target::Social.into(),
            page_token: page.next_page_token.clone(),
            ..ask.clone()
        },
        ListProvisioningRequest { page_token: "x".to_owned(), ..ask.clone() },
        ListProvisioningRequest { page_size: 501, ..ask.clone() },
        ListProvisioningRequest { state: ProvisioningState::Done.into(), ..ask.clone() },
        ListProvisioningRequest { target: 9, ..ask },
    ];
    for request in elsewhere {
        let refused = world.users().list_provisioning(world.as_operator(request.clone())).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_target_refuses_for_good_is_parked_until_an_operator_retries() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Blog);
    let ids = crowd(&world, 2).await;
    for user_id in &ids {
        bury_in_blog(&world, user_id, 1).await;
    }
    world.plaza().publish(Part::Blog);
    world.pass(Duration::from_secs(60)).await;
    let parked = ListProvisioningRequest { state: ProvisioningState::Parked.into(), ..Default::default() };
    let listed = world.owed(parked.clone()).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let one = listed[0].provisioning.as_ref().expect("how far");
    assert_eq!((one.target(), one.last_error.as_str()), (Target::Blog, "FAILED_PRECONDITION"));
    assert!(listed[0].owed_since.is_some() && one.next_attempt_time.is_none());
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.owed(parked.clone()).await, listed, "nobody tries what is parked");

    // The cause is taken away for one of them only: SSO's next version is above Blog's tombstone.
    world.make_official(&ids[0], sso::OfficialTier::Verified).await.expect("a later version");
    assert_eq!(world.owed(parked.clone()).await.len(), 1, "a change owes it anew");
    assert_eq!(retry(&world, Scope::ParkedOf(Target::Social.into())).await.expect("none of Social"), 0);
    assert_eq!(retry(&world, Scope::ParkedOf(Target::Blog.into())).await.expect("one of Blog"), 1);
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.owed(parked.clone()).await.len(), 1, "refused again, parked again");
    assert_eq!(retry(&world, Scope::UserId(ids[1].clone())).await.expect("one"), 1);
    assert_eq!(retry(&world, Scope::UserId(ids[0].clone())).await.expect("nothing is owed"), 0);
    assert_eq!(reason(&retry(&world, Scope::UserId(nobody())).await.expect_err("nobody")), "USER_NOT_FOUND");
    assert_eq!(retry(&world, Scope::ParkedOf(9)).await.expect_err("unknown").code(), Code::InvalidArgument);
    // A deletion is above every version, so it is never refused.
    world.delete(&crate::world::id(), &ids[1]).await.expect("deleted");
    world.settled().await;
    world.agree(&ids[1], "after the deletion").await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_wears_nothing_out_and_is_caught_up_with() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Blog);
    let ids = crowd(&world, 200).await;
    world.pass(Duration::from_secs(300)).await;
    let owed = world.all_owed().await;
    assert_eq!(owed.len(), 200);
    let attempts: i32 = owed.iter().map(|owed| owed.provisioning.as_ref().expect("how far").attempts).sum();
    assert!(attempts <= 205, "five minutes of outage cost {attempts} attempts");
    assert_eq!(world.social_knows(&ids[199]).await, world.sso_knows(&ids[199]).await, "Social does not starve");

    world.plaza().publish(Part::Blog);
    world.pass(Duration::from_secs(5)).await;
    let left = world.all_owed().await.len();
    assert_eq!(left, 0, "{left} are still owed 5 s after the outage");
    for user_id in &ids {
        world.agree(user_id, "after the outage").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_does_not_wait_for_a_target_that_is_down() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Blog);
    crowd(&world, 5).await;
    let owed = world.all_owed().await;
    world.sign_up(&Person::with_email("late")).await.expect("signs up");
    let late = world.all_owed().await.into_iter().find(|one| !owed.iter().any(|old| old.user_id == one.user_id));
    let late = late.expect("it is owed").provisioning.expect("how far");
    assert_eq!(
        (late.attempts, late.state()),
        (0, ProvisioningState::Pending),
        "nobody called a target known to be down"
    );
}

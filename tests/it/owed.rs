//! What is owed, as operators see it; and what an outage costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mesh::channel::{Fate, Faults};
use onebox::Part;
use proto::sso::v1::{
    self as sso, ListProvisioningRequest, ProvisioningState, RetryProvisioningRequest, Target,
    retry_provisioning_request::Scope,
};
use tonic::Code;

use crate::{
    targets::Stubborn,
    world::{Person, World, nobody, reason, state},
};

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
        ListProvisioningRequest { page_size: -1, ..ask.clone() },
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
    let stubborn = Stubborn::default();
    let world = World::with_faults(stubborn.faults()).await;
    stubborn.refuse(true);
    let ids = crowd(&world, 2).await;
    let parked = ListProvisioningRequest { state: ProvisioningState::Parked.into(), ..Default::default() };
    let listed = world.owed(parked.clone()).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let one = listed[0].provisioning.as_ref().expect("how far");
    assert_eq!((one.target(), one.last_error.as_str()), (Target::Blog, "INVALID_ARGUMENT"));
    assert!(listed[0].owed_since.is_some() && one.next_attempt_time.is_none());
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.owed(parked.clone()).await, listed, "nobody tries what is parked");

    // The cause is taken away for one of them only.
    stubborn.refuse(false);
    world.make_official(&ids[0], sso::OfficialTier::Verified).await.expect("a later version");
    stubborn.refuse(true);
    assert_eq!(world.owed(parked.clone()).await.len(), 1, "a change owes it anew");
    assert_eq!(retry(&world, Scope::ParkedOf(Target::Social.into())).await.expect("none of Social"), 0);
    assert_eq!(retry(&world, Scope::ParkedOf(Target::Blog.into())).await.expect("one of Blog"), 1);
    world.pass(Duration::from_secs(5)).await;
    assert_eq!(world.owed(parked.clone()).await.len(), 1, "refused again, parked again");
    assert_eq!(retry(&world, Scope::UserId(ids[1].clone())).await.expect("one"), 1);
    assert_eq!(retry(&world, Scope::UserId(ids[0].clone())).await.expect("nothing is owed"), 0);
    assert_eq!(reason(&retry(&world, Scope::UserId(nobody())).await.expect_err("nobody")), "USER_NOT_FOUND");
    assert_eq!(retry(&world, Scope::ParkedOf(9)).await.expect_err("unknown").code(), Code::InvalidArgument);
    stubborn.refuse(false);
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

/// The first call of Blog is answered late; those after it not at all, until they are let through.
#[derive(Clone, Default)]
struct LateThenDown(Arc<AtomicUsize>);

impl LateThenDown {
    const WELL: usize = 0;
    const LATE: usize = 1;
    const DOWN: usize = 2;

    fn set(&self, state: usize) {
        self.0.store(state, Ordering::SeqCst);
    }

    fn faults(&self) -> onebox::Faults {
        let state = Arc::clone(&self.0);
        let fate = move |path: &str| {
            if !path.starts_with("/blog.v1.UserService/") {
                return Fate::Pass;
            }
            let late = state.compare_exchange(Self::LATE, Self::DOWN, Ordering::SeqCst, Ordering::SeqCst);
            match late {
                Ok(_) => Fate::Delay(Duration::from_millis(800)),
                Err(Self::DOWN) => Fate::Refuse(Code::Unavailable),
                Err(_) => Fate::Pass,
            }
        };
        onebox::Faults { calls: Faults::new(fate), ..Default::default() }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_next_change_settles_nothing() {
    let blog = LateThenDown::default();
    let world = World::with_faults(blog.faults()).await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    blog.set(LateThenDown::LATE);
    let first = world.make_official(&user.id, sso::OfficialTier::Verified);
    let second = async {
        world.pass(Duration::from_millis(100)).await;
        world.make_official(&user.id, sso::OfficialTier::Premium).await
    };
    let (first, second) = tokio::join!(first, second);
    first.expect("changed");
    assert_eq!(state(&second.expect("changed").provisioning, Target::Blog), ProvisioningState::Pending);
    assert_eq!(world.all_owed().await.len(), 1, "Blog knows the first change, and the second is owed");
    blog.set(LateThenDown::WELL);
    world.settled().await;
    world.agree(&user.id, "after both changes").await;
    let fenced = "plaza_work_attempts_total{work=\"provisioning\",target=\"blog\",by=\"owner\",end=\"fenced\"}";
    assert_eq!(world.metric(fenced).await, 1.0);
}

//! SSO tells of its users: by version, in any order, any number of times.

use proto::social::v1 as pb;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, bad_fields, customer, reason};

async fn create(world: &World, user: pb::User) -> Result<pb::User, Status> {
    let request = pb::CreateUserRequest { user: Some(user) };
    Ok(world.users().create_user(request).await?.into_inner().user.unwrap())
}

async fn update(world: &World, user: pb::User) -> Result<pb::User, Status> {
    let request = pb::UpdateUserRequest { user: Some(user) };
    Ok(world.users().update_user(request).await?.into_inner().user.unwrap())
}

async fn delete(world: &World, id: Uuid, version: i64) -> Result<(), Status> {
    world.users().delete_user(pb::DeleteUserRequest { user_id: id.to_string(), version }).await.map(drop)
}

async fn get(world: &World, id: Uuid) -> Result<pb::User, Status> {
    let request = pb::GetUserRequest { user_id: id.to_string() };
    Ok(world.users().get_user(request).await?.into_inner().user.unwrap())
}

fn assert_deleted(outcome: &Result<pb::User, Status>) {
    let status = outcome.as_ref().unwrap_err();
    assert_eq!((status.code(), reason(status).as_str()), (Code::FailedPrecondition, "USER_DELETED"));
}

fn assert_unknown<T: std::fmt::Debug>(outcome: &Result<T, Status>) {
    let status = outcome.as_ref().unwrap_err();
    assert_eq!((status.code(), reason(status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test]
async fn a_create_may_be_repeated() {
    let world = World::start().await;
    let user = customer(world.id(), "anna", 1);
    assert_eq!(create(&world, user.clone()).await.unwrap(), user);
    assert_eq!(create(&world, user.clone()).await.unwrap(), user);
    assert_eq!(get(&world, user.id.parse().unwrap()).await.unwrap(), user);
    world.stop().await;
}

#[tokio::test]
async fn only_newer_versions_apply() {
    let world = World::start().await;
    let id = world.id();
    let (first, second, third) = (customer(id, "anna", 1), customer(id, "anne", 2), customer(id, "annabel", 3));
    assert_eq!(create(&world, second.clone()).await.unwrap(), second);
    assert_eq!(create(&world, first.clone()).await.unwrap(), second, "the answer is what is known");
    assert_eq!(update(&world, first).await.unwrap(), second);
    assert_eq!(update(&world, customer(id, "other", 2)).await.unwrap(), second, "the same version is a repeat");
    assert_eq!(update(&world, third.clone()).await.unwrap(), third);
    assert_eq!(get(&world, id).await.unwrap(), third);
    world.stop().await;
}

#[tokio::test]
async fn an_update_makes_an_unknown_user() {
    let world = World::start().await;
    let official = pb::User {
        account_type: pb::AccountType::Official.into(),
        official_tier: pb::OfficialTier::Premium.into(),
        ..customer(world.id(), "plaza", 4)
    };
    assert_eq!(update(&world, official.clone()).await.unwrap(), official);
    let profile = world.named("plaza").await.unwrap();
    assert_eq!(profile.account_type(), pb::AccountType::Official);
    assert_eq!(profile.official_tier(), pb::OfficialTier::Premium);
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_user_does_not_come_back_by_any_version() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    delete(&world, id, 2).await.unwrap();
    delete(&world, id, 2).await.unwrap();
    assert_deleted(&create(&world, customer(id, "anna", 1)).await);
    assert_deleted(&update(&world, customer(id, "anna", 2)).await);
    assert_deleted(&update(&world, customer(id, "anna", 7)).await);
    assert_unknown(&get(&world, id).await);
    assert_unknown(&world.profile(id).await);
    assert_unknown(&world.named("anna").await);
    world.stop().await;
}

#[tokio::test]
async fn a_create_that_comes_after_its_delete_is_refused() {
    let world = World::start().await;
    let id = world.id();
    delete(&world, id, 5).await.unwrap();
    assert_deleted(&create(&world, customer(id, "anna", 1)).await);
    assert_deleted(&create(&world, customer(id, "anna", 5)).await);
    assert_deleted(&create(&world, customer(id, "anna", 6)).await);
    assert_unknown(&get(&world, id).await);
    world.stop().await;
}

#[tokio::test]
async fn a_delete_wins_over_every_version() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 3).await;
    delete(&world, id, 2).await.unwrap();
    assert_unknown(&get(&world, id).await);
    world.stop().await;
}

#[tokio::test]
async fn a_delete_takes_the_profile_with_it() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let change = pb::UpdateProfileRequest { display_name: Some("Anna".into()), about: Some("Hello".into()) };
    world.change(&world.token(id), change.clone()).await.unwrap();
    delete(&world, id, 2).await.unwrap();
    assert_unknown(&world.change(&world.token(id), change).await);
    assert_unknown(&world.profile(id).await);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_told_all_at_once_end_at_the_highest() {
    let world = World::start().await;
    let id = world.id();
    // A fixed order without order: 7 generates the numbers 1 to 22 modulo 23.
    let order = (0..22).scan(1_i64, |version, _| {
        *version = *version * 7 % 23;
        Some(*version)
    });
    let tasks: Vec<_> = order
        .filter(|version| *version <= 20)
        .map(|version| {
            let mut users = world.users();
            let user = Some(customer(id, &format!("anna-{version}"), version));
            tokio::spawn(async move { users.update_user(pb::UpdateUserRequest { user }).await })
        })
        .collect();
    assert_eq!(tasks.len(), 20);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(get(&world, id).await.unwrap(), customer(id, "anna-20", 20));
    world.stop().await;
}

#[tokio::test]
async fn two_users_may_swap_their_names_in_any_order() {
    let world = World::start().await;
    let (one, other) = (world.id(), world.id());
    world.tell(one, "anna", 1).await;
    world.tell(other, "bella", 1).await;
    world.tell(one, "Bella", 2).await;
    assert_eq!(world.named("bella").await.unwrap().user_id, one.to_string(), "the later version wins");
    world.tell(other, "Anna", 2).await;
    assert_eq!(world.named("bella").await.unwrap().user_id, one.to_string());
    assert_eq!(world.named("anna").await.unwrap().user_id, other.to_string());
    world.stop().await;
}

#[tokio::test]
async fn all_bad_fields_are_named() {
    let world = World::start().await;
    let nothing = create(&world, pb::User::default()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
    assert_eq!(reason(&nothing), "INVALID_FIELDS");
    assert_eq!(bad_fields(&nothing), ["user.id", "user.username", "user.account_type", "user.version"]);

    let missing = world.users().update_user(pb::UpdateUserRequest { user: None }).await.unwrap_err();
    assert_eq!(bad_fields(&missing), ["user"]);

    let deletion = pb::DeleteUserRequest { user_id: "anna".into(), version: 0 };
    assert_eq!(bad_fields(&world.users().delete_user(deletion).await.unwrap_err()), ["user_id", "version"]);

    let tier = pb::OfficialTier::Verified.into();
    let customer_of_tier = pb::User { official_tier: tier, ..customer(world.id(), "anna", 1) };
    assert_eq!(bad_fields(&create(&world, customer_of_tier).await.unwrap_err()), ["user.official_tier"]);

    let official = pb::User { account_type: pb::AccountType::Official.into(), ..customer(world.id(), "anna", 1) };
    assert_eq!(bad_fields(&create(&world, official).await.unwrap_err()), ["user.official_tier"]);
    world.stop().await;
}

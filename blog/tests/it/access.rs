//! Who may call what, and how SSO's keys are followed.

use std::time::Duration;

use mesh::Channel;
use proto::blog::v1::{self as pb, user_service_client::UserServiceClient};
use tonic::{Code, Status};

use crate::world::{World, customer, reason, with_token};

/// The mesh asks for an unknown key no sooner after it asked last.
const PAUSE: Duration = Duration::from_secs(3);

/// The keys are asked for this often at least; `tokens.refresh_seconds`, and something.
const REFRESH: Duration = Duration::from_secs(301);

fn is(status: &Status, code: Code, expected: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (code, expected));
}

#[tokio::test]
async fn only_sso_tells_of_users() {
    let world = World::start().await;
    let id = world.id();
    let user = world.tell(id, "anna", 1).await;
    let strangers = [
        Channel::anonymous(world.router.clone()),
        Channel::memory(world.router.clone(), "blog"),
        Channel::memory(world.router.clone(), "sms"),
    ];
    for stranger in strangers {
        let mut users = UserServiceClient::new(stranger);
        let token = world.token(id);
        let created = users.create_user(with_token(pb::CreateUserRequest { user: Some(user.clone()) }, &token)).await;
        is(&created.unwrap_err(), Code::PermissionDenied, "ACCESS_DENIED");
        let updated = users.update_user(pb::UpdateUserRequest { user: Some(customer(id, "eve", 9)) }).await;
        is(&updated.unwrap_err(), Code::PermissionDenied, "ACCESS_DENIED");
        let got = users.get_user(pb::GetUserRequest { user_id: id.to_string() }).await;
        is(&got.unwrap_err(), Code::PermissionDenied, "ACCESS_DENIED");
        let deleted = users.delete_user(pb::DeleteUserRequest { user_id: id.to_string(), version: 9 }).await;
        is(&deleted.unwrap_err(), Code::PermissionDenied, "ACCESS_DENIED");
    }
    assert_eq!(world.author(id).await.unwrap().username, "anna");
    world.stop().await;
}

#[tokio::test]
async fn a_change_wants_a_token_that_holds() {
    let world = World::start().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let change = pb::UpdateAuthorRequest { display_name: Some("Eve".into()), about: None };
    let missing = world.authors().update_author(change.clone()).await.unwrap_err();
    is(&missing, Code::Unauthenticated, "TOKEN_INVALID");
    let expired = world.token_of(id, Duration::from_secs(30));
    let mut forged = world.token(id);
    forged.replace_range(20..22, if &forged[20..22] == "AA" { "BB" } else { "AA" });
    for token in ["nonsense", &expired, &forged] {
        is(&world.change(token, change.clone()).await.unwrap_err(), Code::Unauthenticated, "TOKEN_INVALID");
    }
    assert_eq!(world.author(id).await.unwrap().display_name, "anna");
    world.stop().await;
}

#[tokio::test]
async fn a_token_changes_its_own_author_alone() {
    let world = World::start().await;
    let (anna, bella) = (world.id(), world.id());
    world.tell(anna, "anna", 1).await;
    world.tell(bella, "bella", 1).await;
    let change = pb::UpdateAuthorRequest { display_name: Some("Anna".into()), about: None };
    assert_eq!(world.change(&world.token(anna), change).await.unwrap().user_id, anna.to_string());
    assert_eq!(world.author(bella).await.unwrap().display_name, "bella");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_key_of_sso_is_asked_for_but_not_all_the_time() {
    let world = World::start_paused().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let nothing = pb::UpdateAuthorRequest::default();
    world.change(&world.token(id), nothing.clone()).await.unwrap();
    for seed in 2..4 {
        tokio::time::advance(PAUSE).await;
        world.sso.rotate(seed);
        let asked = world.sso.asked();
        world.change(&world.token(id), nothing.clone()).await.unwrap();
        assert_eq!(world.sso.asked(), asked + 1);
    }
    // Keys that nobody has are not worth a question each.
    let asked = world.sso.asked();
    for seed in 10..20 {
        world.sso.rotate(seed);
        is(&world.change(&world.token(id), nothing.clone()).await.unwrap_err(), Code::Unauthenticated, "TOKEN_INVALID");
    }
    assert_eq!(world.sso.asked(), asked);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_sso_takes_back_is_forgotten() {
    let world = World::start_paused().await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    let token = world.token(id);
    let nothing = pb::UpdateAuthorRequest::default();
    world.change(&token, nothing.clone()).await.unwrap();
    world.sso.withdraw();
    tokio::time::sleep(REFRESH).await;
    world.change(&token, nothing.clone()).await.expect("while SSO does not answer, what is known stays");
    world.sso.rotate(2);
    tokio::time::sleep(REFRESH).await;
    is(&world.change(&token, nothing).await.unwrap_err(), Code::Unauthenticated, "TOKEN_INVALID");
    world.stop().await;
}

#[tokio::test]
async fn sso_may_be_down_at_the_start() {
    let world = World::start_with(false, false).await;
    let id = world.id();
    world.tell(id, "anna", 1).await;
    assert_eq!(world.author(id).await.unwrap().username, "anna", "what needs no token works");
    world.sso.rotate(1);
    world.change(&world.token(id), pb::UpdateAuthorRequest::default()).await.unwrap();
    world.stop().await;
}

//! Operators keep people out, let them in again, and look who is there; people change their names.

use std::time::Duration;

use proto::{
    blog::v1::{GetAuthorRequest, get_author_request},
    social::v1::{GetProfileRequest, get_profile_request},
    sso::v1::{
        ChangeUsernameRequest, ListUsersRequest, ListUsersResponse, LockUserRequest, ProvisioningState,
        RefreshTokenRequest, Target, UnlockUserRequest, User, sign_in_response::Outcome,
    },
};
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, id, nobody, reason, state, verification};

async fn lock(world: &World, user_id: &str) -> Result<User, Status> {
    let request = LockUserRequest { request_id: id(), user_id: user_id.to_owned() };
    Ok(world.users().lock_user(world.as_operator(request)).await?.into_inner().user.expect("a user"))
}

async fn unlock(world: &World, user_id: &str) -> Result<User, Status> {
    let request = UnlockUserRequest { request_id: id(), user_id: user_id.to_owned() };
    Ok(world.users().unlock_user(world.as_operator(request)).await?.into_inner().user.expect("a user"))
}

async fn list(world: &World, request: ListUsersRequest) -> Result<ListUsersResponse, Status> {
    Ok(world.users().list_users(world.as_operator(request)).await?.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_locked_user_is_out_and_looks_like_nobody() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    for _ in 0..2 {
        assert!(lock(&world, &user.id).await.expect("locked").lock_time.is_some());
    }
    let refresh = RefreshTokenRequest { refresh_token: tokens.refresh_token.clone() };
    assert_eq!(reason(&world.auth().refresh_token(refresh).await.expect_err("over")), "SESSION_ENDED");
    let account = bearer(proto::sso::v1::GetAccountRequest {}, &tokens.access_token);
    assert_eq!(reason(&world.account().get_account(account).await.expect_err("over")), "SESSION_ENDED");
    let locked = world.sign_in(&anna).await.expect_err("out, with the right password");
    let unknown = world.sign_in(&Person::with_email("nobody")).await.expect_err("nobody");
    assert_eq!(
        (locked.code(), locked.message(), locked.details()),
        (unknown.code(), unknown.message(), unknown.details())
    );
    assert!(unlock(&world, &user.id).await.expect("unlocked").lock_time.is_none());
    assert!(matches!(world.sign_in(&anna).await.expect("in again").outcome, Some(Outcome::Tokens(_))));
    let status = lock(&world, &nobody()).await.expect_err("nobody");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn a_code_on_its_way_lets_no_locked_user_in() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let code = world.code(&anna.address).await;
    lock(&world, &signed_up.user.as_ref().expect("a user").id).await.expect("locked");
    let status = world.verify(&verification(&signed_up), &code).await.expect_err("dead");
    assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn users_are_listed_page_by_page() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for at in 0..5 {
        let signed_up = world.sign_up(&Person::with_email(&format!("person{at}"))).await.expect("signs up");
        ids.push(signed_up.user.expect("a user").id);
        world.pass(Duration::from_millis(5)).await;
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page =
            list(&world, ListUsersRequest { page_size: 2, page_token, locked_only: false }).await.expect("a page");
        assert!(page.users.iter().all(|user| user.identifiers.len() == 1));
        seen.extend(page.users.into_iter().map(|user| user.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ids);
    lock(&world, &ids[3]).await.expect("locked");
    let page = list(&world, ListUsersRequest { locked_only: true, ..Default::default() }).await.expect("a page");
    assert_eq!((page.users.len(), page.users[0].id.as_str()), (1, ids[3].as_str()));
    let first = list(&world, ListUsersRequest { page_size: 2, ..Default::default() }).await.expect("a page");
    let other = ListUsersRequest { page_token: first.next_page_token, locked_only: true, page_size: 2 };
    assert_eq!(reason(&list(&world, other).await.expect_err("of another listing")), "INVALID_FIELDS");
    let nonsense = ListUsersRequest { page_size: -1, page_token: "x".to_owned(), locked_only: false };
    assert_eq!(reason(&list(&world, nonsense).await.expect_err("no")), "INVALID_FIELDS");
}

#[tokio::test(start_paused = true)]
async fn another_username_reaches_everybody() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let (user, tokens) = world.join(&anna).await;
    world.join(&ben).await;
    let change = async |username: &str| {
        let request = ChangeUsernameRequest { request_id: id(), username: username.to_owned() };
        let answer = world.account().change_username(bearer(request, &tokens.access_token)).await;
        answer.map(tonic::Response::into_inner)
    };
    assert_eq!(reason(&change("BEN").await.expect_err("somebody's")), "USERNAME_TAKEN");
    assert_eq!(reason(&change("a b").await.expect_err("none")), "INVALID_FIELDS");
    let changed = change("Annabel").await.expect("changed");
    let renamed = changed.user.expect("a user");
    assert_eq!((renamed.username.as_str(), renamed.version), ("Annabel", user.version + 1));
    for target in [Target::Social, Target::Blog] {
        assert_eq!(state(&changed.provisioning, target), ProvisioningState::Done);
    }
    let profile = world
        .profiles()
        .get_profile(GetProfileRequest { key: Some(get_profile_request::Key::UserId(user.id.clone())) })
        .await
        .expect("known");
    assert_eq!(profile.into_inner().profile.expect("a profile").username, "Annabel");
    let author = world
        .authors()
        .get_author(GetAuthorRequest { key: Some(get_author_request::Key::UserId(user.id.clone())) })
        .await
        .expect("known");
    assert_eq!(author.into_inner().author.expect("an author").username, "Annabel");
    assert_eq!(change("Annabel").await.expect("so already").user.expect("a user").version, renamed.version);
    world.sign_up(&Person { username: "anna".to_owned(), ..Person::with_email("another") }).await.expect("free again");
}

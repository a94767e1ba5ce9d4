//! Operators keep people out, let them in again, and look who is there; people change their names.

use std::time::Duration;

use proto::{
    blog::v1::{GetAuthorRequest, get_author_request},
    social::v1::{GetProfileRequest, get_profile_request},
    sso::v1::{
        AccountType, BatchGetUsersRequest, ChangeUsernameRequest, ListUsersRequest, ListUsersResponse, LockUserRequest,
        ProvisioningState, RefreshTokenRequest, Target, UnlockUserRequest, UpdateUserRequest, User, UserState,
        sign_in_response::Outcome,
    },
};
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, id, nobody, reason, state, verification};

impl World {
    /// An operator locks a user.
    pub(crate) async fn lock(&self, user_id: &str) -> Result<User, Status> {
        let request = LockUserRequest { request_id: id(), user_id: user_id.to_owned() };
        Ok(self.users().lock_user(self.as_operator(request)).await?.into_inner().user.expect("a user"))
    }

    /// An operator lets a user in again.
    pub(crate) async fn unlock(&self, user_id: &str) -> Result<User, Status> {
        let request = UnlockUserRequest { request_id: id(), user_id: user_id.to_owned() };
        Ok(self.users().unlock_user(self.as_operator(request)).await?.into_inner().user.expect("a user"))
    }
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
        assert!(world.lock(&user.id).await.expect("locked").lock_time.is_some());
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
    assert!(world.unlock(&user.id).await.expect("unlocked").lock_time.is_none());
    assert!(matches!(world.sign_in(&anna).await.expect("in again").outcome, Some(Outcome::Tokens(_))));
    let status = world.lock(&nobody()).await.expect_err("nobody");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "USER_NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn a_code_on_its_way_lets_no_locked_user_in() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let code = world.code(&anna.address).await;
    world.lock(&signed_up.user.as_ref().expect("a user").id).await.expect("locked");
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
            list(&world, ListUsersRequest { page_size: 2, page_token, ..Default::default() }).await.expect("a page");
        assert!(page.users.iter().all(|user| user.identifiers.len() == 1));
        seen.extend(page.users.into_iter().map(|user| user.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ids);
    world.lock(&ids[3]).await.expect("locked");
    let only_locked = ListUsersRequest { state: UserState::Locked.into(), ..Default::default() };
    let page = list(&world, only_locked.clone()).await.expect("a page");
    assert_eq!((page.users.len(), page.users[0].id.as_str()), (1, ids[3].as_str()));
    let first = list(&world, ListUsersRequest { page_size: 2, ..Default::default() }).await.expect("a page");
    let other = ListUsersRequest { page_token: first.next_page_token, page_size: 2, ..only_locked };
    assert_eq!(reason(&list(&world, other).await.expect_err("of another listing")), "INVALID_FIELDS");
    let nonsense = ListUsersRequest { page_size: -1, page_token: "x".to_owned(), state: 9, ..Default::default() };
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

#[tokio::test(start_paused = true)]
async fn users_are_filtered_and_pages_do_not_shift() {
    let world = World::start().await;
    let mut people = Vec::new();
    for at in 0..4 {
        let person = Person::with_email(&format!("person{at}"));
        let person = if at % 2 == 0 { person } else { person.official() };
        let signed_up = world.sign_up(&person).await.expect("signs up");
        if at == 3 {
            let code = world.code(&person.address).await;
            world.verify(&verification(&signed_up), &code).await.expect("verified");
        }
        people.push(signed_up.user.expect("a user"));
        world.pass(Duration::from_secs(60)).await;
    }
    let ids = async |request: ListUsersRequest| -> Vec<String> {
        list(&world, request).await.expect("a page").users.into_iter().map(|user| user.id).collect()
    };
    let any = ListUsersRequest::default();
    let official = ListUsersRequest { account_type: AccountType::Official.into(), ..any.clone() };
    assert_eq!(ids(official.clone()).await, [people[1].id.clone(), people[3].id.clone()]);
    assert_eq!(ids(ListUsersRequest { is_verified: Some(false), ..official }).await, [people[1].id.clone()]);
    assert_eq!(ids(ListUsersRequest { is_verified: Some(true), ..any.clone() }).await, [people[3].id.clone()]);
    let between =
        ListUsersRequest { start_time: people[1].create_time, end_time: people[3].create_time, ..any.clone() };
    assert_eq!(ids(between).await, [people[1].id.clone(), people[2].id.clone()]);
    world.lock(&people[0].id).await.expect("locked");
    let active = ListUsersRequest { state: UserState::Active.into(), page_size: 2, ..any };
    let first = list(&world, active.clone()).await.expect("a page");
    world.sign_up(&Person::with_email("late")).await.expect("signs up");
    let second = list(&world, ListUsersRequest { page_token: first.next_page_token, ..active }).await.expect("a page");
    let seen: Vec<_> = first.users.iter().chain(&second.users).map(|user| user.username.as_str()).collect();
    assert_eq!(seen, ["person1", "person2", "person3", "late"]);
    let batch = async |user_ids: Vec<String>| {
        let answer = world.users().batch_get_users(world.as_operator(BatchGetUsersRequest { user_ids })).await;
        answer.map(|answer| answer.into_inner().users)
    };
    let users = batch(vec![people[2].id.clone(), people[0].id.clone()]).await.expect("users");
    assert_eq!(users.iter().map(|user| &user.id).collect::<Vec<_>>(), [&people[2].id, &people[0].id]);
    assert_eq!(reason(&batch(vec![people[0].id.clone(), nobody()]).await.expect_err("all or none")), "USER_NOT_FOUND");
    for nonsense in [vec![], vec!["x".to_owned()], vec![nobody(); 101]] {
        assert_eq!(reason(&batch(nonsense).await.expect_err("no")), "INVALID_FIELDS");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_changes_what_the_mask_names_of_the_user_as_it_was_read() {
    let world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    world.join(&Person::with_email("ben")).await;
    let mask = |path: &str| Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
    let update = async |request: UpdateUserRequest| {
        let request = UpdateUserRequest { request_id: id(), user_id: user.id.clone(), ..request };
        Ok::<_, Status>(world.users().update_user(world.as_operator(request)).await?.into_inner().user.expect("a user"))
    };
    let both = UpdateUserRequest {
        username: "annabel".to_owned(),
        account_type: AccountType::Official.into(),
        ..Default::default()
    };
    world.pass(Duration::from_millis(1)).await;
    let renamed = UpdateUserRequest { update_mask: mask("username"), etag: user.etag.clone(), ..both.clone() };
    let renamed = update(renamed).await.expect("changed");
    assert_eq!((renamed.username.as_str(), renamed.account_type()), ("annabel", AccountType::Customer));
    assert_ne!(renamed.etag, user.etag);
    let stale = update(UpdateUserRequest { etag: user.etag.clone(), ..both.clone() }).await.expect_err("stale");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let whole = update(UpdateUserRequest { etag: renamed.etag, ..both.clone() }).await.expect("all that is set");
    assert_eq!((whole.username.as_str(), whole.account_type()), ("annabel", AccountType::Official));
    let taken = UpdateUserRequest { username: "Ben".to_owned(), ..Default::default() };
    assert_eq!(reason(&update(taken).await.expect_err("somebody's")), "USERNAME_TAKEN");
    for nonsense in [
        UpdateUserRequest::default(),
        UpdateUserRequest { update_mask: mask("id"), ..both.clone() },
        UpdateUserRequest { update_mask: mask("*"), username: String::new(), ..both.clone() },
        UpdateUserRequest { username: "a b".to_owned(), ..both },
    ] {
        assert_eq!(reason(&update(nonsense).await.expect_err("no")), "INVALID_FIELDS");
    }
}

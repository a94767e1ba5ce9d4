//! What was refused, and what was done to users whom nobody asked, as operators read it.

use std::{sync::Barrier, time::Duration};

use onebox::Part;
use proto::sso::v1::{
    AuditEventKind as Kind, AuditReason as Reason, ChangePasswordRequest, ChangeUsernameRequest, DeleteAccountRequest,
    ListAuditEventsRequest, UpdateUserRequest,
};

use tokio::task::JoinSet;

use crate::{
    audit::{list, sorted, trail},
    recovery::{self, forgot},
    world::{Person, World, bearer, id, reason},
};

/// All events of these kinds, as kind, reason, operator and count.
pub(crate) async fn told(world: &World, kinds: &[Kind]) -> Vec<(Kind, Reason, String, i64)> {
    let kinds = kinds.iter().map(|kind| i32::from(*kind)).collect();
    let page = list(world, ListAuditEventsRequest { kinds, ..Default::default() }).await.expect("a page");
    let mut told: Vec<_> =
        page.events.into_iter().map(|one| (one.kind(), one.reason(), one.operator, one.count)).collect();
    told.sort();
    told
}

#[tokio::test(start_paused = true)]
async fn what_a_person_may_not_change_is_told_with_its_reason() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    world.join(&Person::with_email("ben")).await;
    let before = trail(&world, &user.id).await.len();
    // What happened before has smaller ids than what happens next.
    world.pass(Duration::from_millis(2)).await;
    let rename = ChangeUsernameRequest { request_id: id(), username: "ben".to_owned() };
    let taken = world.account().change_username(bearer(rename, &tokens.access_token)).await.expect_err("taken");
    assert_eq!(reason(&taken), "USERNAME_TAKEN");
    world.remove(&tokens, &anna.address, "").await.expect_err("the last");
    for _ in 0..5 {
        let (old_password, new_password) = ("not her password".to_owned(), recovery::NEW.to_owned());
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        world.account().change_password(bearer(request, &tokens.access_token)).await.expect_err("wrong");
    }
    let request = DeleteAccountRequest { request_id: id(), password: anna.password.clone() };
    let throttled = world.account().delete_account(bearer(request, &tokens.access_token)).await;
    assert_eq!(reason(&throttled.expect_err("one count for both")), "SIGN_IN_THROTTLED");
    assert_eq!(
        sorted(&trail(&world, &user.id).await[before..]),
        sorted(&[
            (Kind::UsernameChangeRefused, Reason::UsernameTaken),
            (Kind::IdentifierRemovalRefused, Reason::LastIdentifier),
            (Kind::PasswordRefused, Reason::PasswordWrong),
            (Kind::PasswordRefused, Reason::Throttled),
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_of_the_password_that_was_overtaken_is_told() {
    // Neither is committed before both have found the old password right.
    let both = Barrier::new(2);
    let meet = move |job| {
        if job == "change_password" {
            both.wait();
        }
        db::Fate::Run
    };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(meet))].into(), ..Default::default() };
    let world = World::start_at(onebox::Edge { faults, ..onebox::Edge::system() }).await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    let mut racing = JoinSet::new();
    for new in ["a whole new password", "another new password"] {
        let (mut account, old_password, new_password) = (world.account(), anna.password.clone(), new.to_owned());
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        let request = bearer(request, &tokens.access_token);
        racing.spawn(async move { account.change_password(request).await.map_err(|status| reason(&status)).err() });
    }
    let mut refused = racing.join_all().await;
    refused.sort();
    assert_eq!(refused, [None, Some("CREDENTIALS_INVALID".to_owned())]);
    assert_eq!(
        told(&world, &[Kind::PasswordRefused]).await,
        [(Kind::PasswordRefused, Reason::Overtaken, String::new(), 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_may_not_do_is_told_with_its_reason() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, _) = world.join(&anna).await;
    world.join(&Person::with_email("ben")).await;
    let namesake = Person { address: "other@example.com".to_owned(), ..anna.clone() };
    let rival = Person { username: "rival".to_owned(), ..anna };
    for person in [&namesake, &rival] {
        world.users().create_user(world.as_operator(person.create())).await.expect_err("taken");
    }
    for (username, etag) in [("ben", user.etag.as_str()), ("another", "stale")] {
        let update_mask = Some(prost_types::FieldMask { paths: vec!["username".to_owned()] });
        let (user_id, username, etag) = (user.id.clone(), username.to_owned(), etag.to_owned());
        let update = UpdateUserRequest { request_id: id(), user_id, username, etag, update_mask, ..Default::default() };
        world.users().update_user(world.as_operator(update)).await.expect_err("refused");
    }
    let root = |kind, reason| (kind, reason, "root".to_owned(), 1);
    assert_eq!(
        told(&world, &[Kind::UserCreationRefused, Kind::UserUpdateRefused]).await,
        [
            root(Kind::UserCreationRefused, Reason::UsernameTaken),
            root(Kind::UserCreationRefused, Reason::IdentifierTaken),
            root(Kind::UserUpdateRefused, Reason::Overtaken),
            root(Kind::UserUpdateRefused, Reason::UsernameTaken),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_ends_with_somebody_elses_proof_is_told() {
    let world = World::start().await;
    for name in ["mallory", "trudy"] {
        let squatter = Person { username: name.to_owned(), ..Person::with_email("anna") };
        world.sign_up(&squatter).await.expect("claims it");
        world.pass(Duration::from_secs(120)).await;
    }
    let (user, _) = world.join(&Person::with_email("anna")).await;
    assert_eq!(
        told(&world, &[Kind::RivalsOutrun]).await,
        [(Kind::RivalsOutrun, Reason::Unspecified, String::new(), 2)]
    );
    assert!(trail(&world, &user.id).await.contains(&(Kind::RivalsOutrun, Reason::Unspecified)));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_switched_off_is_told() {
    let world = World::start().await;
    let ask = proto::sso::v1::StartCodeSignInRequest {
        request_id: id(),
        identifier: Some(proto::sso::v1::start_code_sign_in_request::Identifier::Email("anna@example.com".to_owned())),
    };
    world.auth().start_code_sign_in(ask).await.expect_err("off");
    world.auth().start_password_reset(forgot("anna@example.com")).await.expect("as ever");
    assert_eq!(
        told(&world, &[Kind::SignInRefused, Kind::ResetRefused]).await,
        [(Kind::SignInRefused, Reason::SwitchedOff, String::new(), 1)]
    );
}

//! What was decided, and why, as operators read it.

mod listing;

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use db::Fate;
use onebox::Part;
use proto::sso::v1::{
    AuditEventKind as Kind, AuditReason as Reason, CompletePasswordResetRequest, DeleteUserRequest, GetAccountRequest,
    IntrospectTokenRequest, IntrospectTokenResponse, ListAuditEventsRequest, ListAuditEventsResponse,
    RevokeOtherSessionsRequest, RevokeSessionRequest, SignOutRequest, StartPasswordResetRequest, Tokens,
    start_password_reset_request, token_service_client::TokenServiceClient,
};
use tonic::{Code, Status};

use crate::{
    identifiers::change_to,
    world::{Person, World, bearer, guess, id, nobody, verification, wrong},
};

pub(crate) async fn list(world: &World, request: ListAuditEventsRequest) -> Result<ListAuditEventsResponse, Status> {
    Ok(world.users().list_audit_events(world.as_operator(request)).await?.into_inner())
}

/// All events, oldest first, each as its kind and reason.
pub(crate) async fn trail(world: &World, user_id: &str) -> Vec<(Kind, Reason)> {
    let request = ListAuditEventsRequest { user_id: user_id.to_owned(), page_size: 500, ..Default::default() };
    let mut events = list(world, request).await.expect("a page").events;
    events.reverse();
    events.iter().map(|event| (event.kind(), event.reason())).collect()
}

/// Without the order of what was written down at one time, which is any.
pub(crate) fn sorted(events: &[(Kind, Reason)]) -> Vec<(Kind, Reason)> {
    let mut events = events.to_vec();
    events.sort();
    events
}

/// What SSO tells Social of a token.
async fn introspect(world: &World, token: &str) -> IntrospectTokenResponse {
    let channel = world.plaza().peer(onebox::Part::Sso, onebox::Part::Social).expect("it runs");
    let request = IntrospectTokenRequest { access_token: token.to_owned() };
    TokenServiceClient::new(channel).introspect_token(request).await.expect("an answer").into_inner()
}

/// Lets what happened before have smaller ids than what happens next.
async fn then(world: &World) {
    world.pass(Duration::from_millis(2)).await;
}

#[tokio::test(start_paused = true)]
async fn every_decision_about_a_user_is_told_with_its_reason() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let signed_up = world.sign_up(&anna).await.expect("signs up");
    let user_id = signed_up.user.as_ref().expect("a user").id.clone();
    assert_eq!(
        sorted(&trail(&world, &user_id).await),
        sorted(&[(Kind::SignedUp, Reason::Unspecified), (Kind::CodeSent, Reason::Unspecified)])
    );
    then(&world).await;
    let code = world.code(&anna.address).await;
    world.verify(&verification(&signed_up), &wrong(&code)).await.expect("an answer");
    world.sign_in(&anna).await.expect("asked to verify");
    let told = trail(&world, &user_id).await;
    assert_eq!(
        sorted(&told[2..]),
        sorted(&[(Kind::CodeRefused, Reason::CodeWrong), (Kind::SignInRefused, Reason::Unverified)])
    );
    then(&world).await;
    let tokens = crate::world::success(world.verify(&verification(&signed_up), &code).await.expect("verifies")).1;
    then(&world).await;
    let second = world.refresh(&tokens.refresh_token).await.expect("a successor");
    world.pass(Duration::from_secs(31)).await;
    world.refresh(&tokens.refresh_token).await.expect_err("used long ago");
    then(&world).await;
    world.refresh(&second.refresh_token).await.expect_err("over");
    world.sign_in(&Person { password: "not the password".to_owned(), ..anna.clone() }).await.expect_err("wrong");
    let told = trail(&world, &user_id).await;
    assert_eq!(
        sorted(&told[4..]),
        sorted(&[
            (Kind::CodeAccepted, Reason::Unspecified),
            (Kind::SessionEnded, Reason::TokenReused),
            (Kind::SignInRefused, Reason::PasswordWrong),
        ])
    );
    then(&world).await;
    world.lock(&user_id).await.expect("locked");
    then(&world).await;
    world.sign_in(&anna).await.expect_err("locked");
    assert_eq!(
        sorted(&trail(&world, &user_id).await[7..]),
        sorted(&[(Kind::UserLocked, Reason::Unspecified), (Kind::SignInRefused, Reason::Locked)])
    );
    then(&world).await;
    let delete = DeleteUserRequest { request_id: id(), user_id: user_id.clone() };
    world.users().delete_user(world.as_operator(delete)).await.expect("deleted");
    let events = list(&world, ListAuditEventsRequest { user_id: user_id.clone(), ..Default::default() }).await;
    let last = events.expect("it outlives the user").events.remove(0);
    assert_eq!((last.kind(), last.operator.as_str(), last.count), (Kind::UserDeleted, "root", 1));
}

#[tokio::test(start_paused = true)]
async fn a_reset_and_a_sign_out_are_told() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    assert_eq!(trail(&world, &user.id).await.len(), 3);
    then(&world).await;
    world.auth().sign_out(SignOutRequest { refresh_token: tokens.refresh_token }).await.expect("out");
    world.pass(Duration::from_secs(3600)).await;
    let identifier = Some(start_password_reset_request::Identifier::Email(anna.address.clone()));
    let start = StartPasswordResetRequest { request_id: id(), identifier };
    let pending = world.auth().start_password_reset(start).await.expect("started").into_inner().verification;
    let complete = CompletePasswordResetRequest {
        request_id: id(),
        verification_id: pending.expect("a verification").verification_id,
        code: world.code(&anna.address).await,
        new_password: "another long password".to_owned(),
    };
    trail(&world, &user.id).await;
    then(&world).await;
    world.auth().complete_password_reset(complete).await.expect("replaced");
    assert_eq!(
        sorted(&trail(&world, &user.id).await[3..]),
        sorted(&[
            (Kind::SignedOut, Reason::Unspecified),
            (Kind::CodeSent, Reason::Unspecified),
            (Kind::ResetStarted, Reason::Unspecified),
            (Kind::PasswordReset, Reason::Unspecified),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_session_and_what_does_not_is_told() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let (user, here) = world.join(&anna).await;
    let (_, bens) = world.join(&ben).await;
    let (there, elsewhere) = (world.let_in(&anna).await, world.let_in(&anna).await);
    let of = async |tokens: &Tokens| introspect(&world, &tokens.access_token).await.session_id;
    let (here_id, there_id, bens_id) = (of(&here).await, of(&there).await, of(&bens).await);
    let before = trail(&world, &user.id).await.len();
    then(&world).await;
    for session_id in [there_id.clone(), there_id.clone(), bens_id, nobody()] {
        let request = bearer(RevokeSessionRequest { session_id }, &here.access_token);
        world.account().revoke_session(request).await.expect("there is nothing to tell");
    }
    let request = bearer(RevokeOtherSessionsRequest {}, &here.access_token);
    assert_eq!(world.account().revoke_other_sessions(request).await.expect("done").into_inner().revoked, 1);
    world.refresh(&there.refresh_token).await.expect_err("over");
    world.account().get_account(bearer(GetAccountRequest {}, &there.access_token)).await.expect_err("over");
    assert!(!introspect(&world, &there.access_token).await.active);
    assert!(!introspect(&world, "nonsense").await.active);
    assert!(!introspect(&world, &elsewhere.access_token).await.active);
    let mut told: Vec<_> = list(&world, ListAuditEventsRequest { user_id: user.id.clone(), ..Default::default() })
        .await
        .expect("a page")
        .events
        .into_iter()
        .map(|one| (one.kind(), one.reason(), one.session_id, one.count))
        .collect();
    told.truncate(told.len() - before);
    told.sort();
    let elsewhere_id =
        told.iter().map(|one| one.2.clone()).find(|id| !id.is_empty() && *id != here_id && *id != there_id);
    let mut expected = [
        (Kind::SessionEnded, Reason::ByOwner, String::new(), 1),
        (Kind::SessionEnded, Reason::ByOwner, there_id.clone(), 1),
        (Kind::TokenRefused, Reason::SessionOver, there_id.clone(), 2),
        (Kind::TokenRefused, Reason::SessionOver, elsewhere_id.expect("the third"), 1),
        (Kind::RevocationRefused, Reason::SessionUnknown, here_id, 3),
    ];
    // Ids are drawn: no order of theirs is to be expected.
    expected.sort();
    assert_eq!(told, expected);
    // Whose session it was is not known any more, or never was.
    let kinds = vec![Kind::RefreshRefused.into(), Kind::TokenRefused.into()];
    let page = list(&world, ListAuditEventsRequest { kinds, ..Default::default() }).await.expect("a page");
    let nameless = page.events.iter().filter(|one| one.user_id.is_empty());
    let mut nameless: Vec<_> = nameless.map(|one| (one.kind(), one.reason(), one.session_id.as_str())).collect();
    nameless.sort_unstable();
    assert_eq!(
        nameless,
        [
            (Kind::RefreshRefused, Reason::SessionOver, there_id.as_str()),
            (Kind::TokenRefused, Reason::TokenInvalid, ""),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_is_told_with_its_reason() {
    let mut world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, first) = world.join(&anna).await;
    let backup = world.back_up(onebox::Part::Sso).await;
    let second = world.refresh(&first.refresh_token).await.expect("a successor");
    world.restore(onebox::Part::Sso, Some(&backup)).await;
    world.refresh(&second.refresh_token).await.expect_err("it is ahead of what is known");
    world.refresh("nonsense").await.expect_err("none");
    world.leap(Duration::from_secs(15 * 24 * 3600)).await;
    world.refresh(&first.refresh_token).await.expect_err("idle for too long");
    let kinds = vec![Kind::RefreshRefused.into()];
    let page = list(&world, ListAuditEventsRequest { kinds, ..Default::default() }).await.expect("a page");
    let mut told: Vec<_> = page.events.iter().map(|one| (one.reason(), one.user_id.as_str())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [(Reason::TokenUnknown, ""), (Reason::SessionOver, user.id.as_str()), (Reason::TokenAhead, user.id.as_str())]
    );
}

#[tokio::test(start_paused = true)]
async fn every_change_of_an_identifier_is_told() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, tokens) = world.join(&anna).await;
    world.join(&Person::with_email("ben")).await;
    assert_eq!(trail(&world, &user.id).await.len(), 3);
    world.pass(Duration::from_secs(60)).await;
    world.start_change(&tokens, change_to("ben@example.com", "")).await.expect("a decoy");
    world.change_identifier(&tokens, "+84912345678").await;
    world.change_identifier(&tokens, "anna@example.org").await;
    world.remove(&tokens, "+84912345678", "").await.expect("removed");
    world.remove(&tokens, "anna@example.org", "").await.expect_err("the last");
    world.pass(Duration::from_secs(300)).await;
    world.start_change(&tokens, change_to("+84912345678", "")).await.expect_err("not fresh");
    assert_eq!(
        sorted(&trail(&world, &user.id).await[3..]),
        sorted(&[
            (Kind::IdentifierChangeStarted, Reason::Decoy),
            (Kind::IdentifierChangeStarted, Reason::Unspecified),
            (Kind::CodeSent, Reason::Unspecified),
            (Kind::IdentifierAdded, Reason::Unspecified),
            (Kind::IdentifierChanged, Reason::Unspecified),
            (Kind::IdentifierRemoved, Reason::Unspecified),
            (Kind::IdentifierRemovalRefused, Reason::LastIdentifier),
            (Kind::PasswordRefused, Reason::NotFresh),
        ])
    );
}

/// A reader whose deadline passes must not take along what it was about to write down.
#[tokio::test(start_paused = true)]
async fn a_reader_that_is_cut_off_loses_no_refusal() {
    let left = AtomicUsize::new(0);
    let left: &'static AtomicUsize = Box::leak(Box::new(left));
    let is_next = |name| name == "audit" && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
    let fate = move |name| if is_next(name) { Fate::Late(Duration::from_secs(3)) } else { Fate::Run };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(fate))].into(), ..Default::default() };
    let world = World::with_faults(faults).await;
    world.sign_in(&Person::with_email("nobody")).await.expect_err("nobody");
    left.store(1, SeqCst);
    let refused = ListAuditEventsRequest { kinds: vec![Kind::SignInRefused.into()], ..Default::default() };
    let cut = list(&world, refused.clone()).await.expect_err("the write takes longer than a reader has");
    assert_eq!(cut.code(), Code::DeadlineExceeded);
    world.pass(Duration::from_secs(3)).await;
    assert_eq!(list(&world, refused).await.expect("a page").events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_does_not_stop_whoever_reads() {
    let fate = |name| if name == "audit" { Fate::Refuse } else { Fate::Run };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(fate))].into(), ..Default::default() };
    let world = World::with_faults(faults).await;
    world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    world.sign_in(&Person::with_email("nobody")).await.expect_err("nobody");
    let signed_up = ListAuditEventsRequest { kinds: vec![Kind::SignedUp.into()], ..Default::default() };
    assert_eq!(list(&world, signed_up).await.expect("a page").events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_summed_and_nobody_is_named() {
    let world = World::start().await;
    world.pass(Duration::from_millis(5)).await;
    for at in 0..40 {
        world.sign_in(&Person::with_email(&format!("nobody{at}"))).await.expect_err("nobody");
    }
    world.auth().verify_otp(guess(&id(), "000000")).await.expect_err("no verification");
    let page = list(&world, ListAuditEventsRequest::default()).await.expect("a page");
    let mut told: Vec<_> = page.events.iter().map(|one| (one.kind(), one.reason(), one.count)).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (Kind::CodeRefused, Reason::VerificationUnknown, 1),
            (Kind::SignInRefused, Reason::IdentifierUnknown, 40),
            (Kind::KeyRotated, Reason::Scheduled, 1),
        ]
    );
    assert!(!format!("{page:?}").contains("nobody"), "no identifier is kept");
    // The next minute has a sum of its own; and without anybody who looks it is written down as well.
    world.sign_in(&Person::with_email("nobody")).await.expect_err("nobody");
    world.pass(Duration::from_secs(61)).await;
    let only = ListAuditEventsRequest { kinds: vec![Kind::SignInRefused.into()], ..Default::default() };
    let counts: Vec<_> = list(&world, only).await.expect("a page").events.iter().map(|one| one.count).collect();
    assert_eq!(counts, [1, 40], "newest first");
}

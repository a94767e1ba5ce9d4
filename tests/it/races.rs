//! What must not be overtaken: on threads and in real time. Each goes red without the guard it names.

use std::{
    collections::HashSet,
    sync::{Mutex, mpsc},
    time::Duration,
};

use onebox::{Edge, Part};
use proto::sso::v1::{
    ChangePasswordRequest, CompleteCodeSignInRequest, CompletePasswordResetRequest, GetAccountRequest,
    StartPasswordResetRequest, Tokens, complete_code_sign_in_response::Outcome as InByCode,
    complete_password_reset_response::Outcome as Reset, sign_in_response::Outcome,
    start_password_reset_request::Identifier,
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    identifiers::{change_to, prepared},
    passwordless,
    world::{Person, World, bearer, boot::by_code, id, reason},
};

/// The check of `session::open`: a sign-in that found the password right before the lock must not begin a session after it.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_begins_after_a_lock() {
    let world = World::threaded().await;
    let anna = Person::with_email("anna");
    let (user, _) = world.join(&anna).await;
    for _ in 0..30 {
        let mut racing = JoinSet::new();
        for _ in 0..8 {
            let (mut auth, request) = (world.auth(), anna.sign_in());
            racing
                .spawn(async move { auth.sign_in(request).await.ok().and_then(|answer| answer.into_inner().outcome) });
        }
        world.lock(&user.id).await.expect("locked");
        for outcome in racing.join_all().await {
            let Some(Outcome::Tokens(tokens)) = outcome else { continue };
            let account = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
            assert!(account.is_err(), "a locked user has a session");
        }
        world.unlock(&user.id).await.expect("unlocked");
    }
}

/// Somebody whom an operator vouches for, signed in: no message went to them, and the next may follow at once.
async fn signed_in(world: &World, person: &Person) -> Tokens {
    passwordless::vouched(world, person).await;
    world.let_in(person).await
}

/// The end of the reset in the commit that sets the password (`challenge::end`): the owner's own change, made meanwhile, is not undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_does_not_undo_a_change_made_meanwhile() {
    let world = World::threaded().await;
    for at in 0..12 {
        let person = Person::with_email(&format!("person{at}"));
        let tokens = signed_in(&world, &person).await;
        let identifier = Some(Identifier::Email(person.address.clone()));
        let start = StartPasswordResetRequest { request_id: id(), identifier };
        let pending = world.auth().start_password_reset(start).await.expect("started").into_inner().verification;
        let complete = CompletePasswordResetRequest {
            request_id: id(),
            verification_id: pending.expect("a verification").verification_id,
            code: world.code(&person.address).await,
            new_password: "what the code sets".to_owned(),
        };
        let change = ChangePasswordRequest {
            request_id: id(),
            old_password: person.password.clone(),
            new_password: "what the owner sets".to_owned(),
        };
        let (mut account, mut auth) = (world.account(), world.auth());
        let changed = account.change_password(bearer(change, &tokens.access_token));
        let (changed, reset) = tokio::join!(changed, auth.complete_password_reset(complete));
        let reset = reset.is_ok_and(|answer| matches!(answer.into_inner().outcome, Some(Reset::Success(_))));
        // A change after the reset finds another old password, a reset after the change finds itself over.
        assert!(changed.is_ok() != reset, "both, or none: {changed:?}");
    }
}

/// The end of the change in the commit that makes it so (`store::challenges::end`): whoever sets a new password ends what was under way. Which came
/// first shows in where the notice of the new password went.
#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_is_changed_after_a_new_password() {
    let world = World::threaded().await;
    for at in 0..12 {
        let person = Person::with_email(&format!("person{at}"));
        let (tokens, new) = (signed_in(&world, &person).await, format!("new{at}@example.com"));
        let confirm = bearer(prepared(&world, &tokens, &new).await, &tokens.access_token);
        let change = ChangePasswordRequest {
            request_id: id(),
            old_password: person.password.clone(),
            new_password: "what the owner sets".to_owned(),
        };
        let (mut one, mut other) = (world.account(), world.account());
        let change = one.change_password(bearer(change, &tokens.access_token));
        let (changed, confirmed) = tokio::join!(change, other.confirm_identifier_change(confirm));
        changed.expect("with the right password");
        let one_is_told = async { while told(&world, &person.address).await == told(&world, &new).await {} };
        timeout(Duration::from_secs(10), one_is_told).await.expect("a notice");
        assert_eq!(told(&world, &new).await, confirmed.is_ok(), "the password was changed first: {confirmed:?}");
    }
}

/// Whether an address was told of a new password.
async fn told(world: &World, address: &str) -> bool {
    world.messages(address).await.iter().any(|message| message.text.starts_with("Plaza: your password was changed"))
}

/// The compare of `signin::commit`: a sign-in that found the old password right begins no session once another is set.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_begins_with_a_password_that_was_changed() {
    let world = World::threaded().await;
    for at in 0..16 {
        let person = Person::with_email(&format!("person{at}"));
        let tokens = signed_in(&world, &person).await;
        let change = ChangePasswordRequest {
            request_id: id(),
            old_password: person.password.clone(),
            new_password: "what the owner sets".to_owned(),
        };
        let mut account = world.account();
        let changing =
            tokio::spawn(async move { account.change_password(bearer(change, &tokens.access_token)).await.map(drop) });
        let mut racing = JoinSet::new();
        // Not more than may be tried at once.
        for _ in 0..4 {
            let (mut auth, request) = (world.auth(), person.sign_in());
            racing
                .spawn(async move { auth.sign_in(request).await.ok().and_then(|answer| answer.into_inner().outcome) });
        }
        changing.await.expect("it ran").expect("changed");
        for outcome in racing.join_all().await {
            let Some(Outcome::Tokens(tokens)) = outcome else { continue };
            let account = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
            assert!(account.is_err(), "the old password has a session");
        }
    }
}

/// The lock of `identifiers::start`: what is left of a user who is deleted meanwhile was INTERNAL, by its foreign key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_is_begun_for_a_user_who_is_deleted_meanwhile() {
    let ((arrived, has_arrived), (go, may_go)) = (mpsc::channel(), mpsc::channel::<()>());
    let may_go = Mutex::new(may_go);
    let after = move |job: &str| {
        if job == "start_identifier_change" {
            let _ = arrived.send(());
            let _ = may_go.lock().expect("no panic").recv();
        }
        db::Fate::Run
    };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(after))].into(), ..Default::default() };
    let world = World::start_at(Edge { faults, ..Edge::system() }).await;
    let (user, tokens) = world.join(&Person::with_email("anna")).await;
    let request = bearer(change_to("another@example.com", ""), &tokens.access_token);
    let mut account = world.account();
    let changing = tokio::spawn(async move { account.start_identifier_change(request).await });
    tokio::task::spawn_blocking(move || has_arrived.recv()).await.expect("no panic").expect("it arrives");
    world.delete(&id(), &user.id).await.expect("deleted");
    drop(go);
    let refused = changing.await.expect("it ran").expect_err("deleted");
    assert_eq!(reason(&refused), "SESSION_ENDED");
}

/// All outcomes of these, given at once; and how many sessions the user has then.
async fn all_at_once(world: &World, requests: Vec<CompleteCodeSignInRequest>) -> (Vec<Tokens>, usize) {
    let mut racing = JoinSet::new();
    for request in requests {
        let mut auth = world.auth();
        racing.spawn(async move { auth.complete_code_sign_in(request).await.map(tonic::Response::into_inner) });
    }
    let given = racing.join_all().await.into_iter().filter_map(|answer| match answer {
        Ok(answer) => match answer.outcome.expect("an outcome") {
            InByCode::Tokens(tokens) => Some(tokens),
            InByCode::Failure(_) => None,
        },
        Err(status) => {
            assert_eq!(reason(&status), "VERIFICATION_NOT_FOUND");
            None
        }
    });
    let given: Vec<_> = given.collect();
    let open = world.sessions(given.first().expect("a winner")).await.expect("it is good").len();
    (given, open)
}

/// Two guards, either of which is enough: `store::approve` of SMS, and `challenge::end` in the commit that opens the session.
#[tokio::test(flavor = "multi_thread")]
async fn of_eight_right_codes_at_once_one_signs_in() {
    let world = World::start_with(by_code, Edge::system()).await;
    for at in 0..4 {
        let person = Person::with_email(&format!("person{at}"));
        passwordless::vouched(&world, &person).await;
        let pending = passwordless::start(&world, &person.address).await.expect("a code");
        let code = world.code(&person.address).await;
        let (given, open) =
            all_at_once(&world, (0..8).map(|_| passwordless::completion(&pending, &code)).collect()).await;
        assert_eq!((given.len(), open), (1, 1));
    }
}

/// `store::requests::claim`: a request that comes eight times at once is one sign-in, and each gets its tokens.
#[tokio::test(flavor = "multi_thread")]
async fn one_right_code_repeated_at_once_is_one_session() {
    let world = World::start_with(by_code, Edge::system()).await;
    for at in 0..4 {
        let person = Person::with_email(&format!("person{at}"));
        passwordless::vouched(&world, &person).await;
        let pending = passwordless::start(&world, &person.address).await.expect("a code");
        let right = passwordless::completion(&pending, &world.code(&person.address).await);
        let (given, open) = all_at_once(&world, vec![right; 8]).await;
        let refresh: HashSet<_> = given.iter().map(|tokens| tokens.refresh_token.as_str()).collect();
        assert_eq!((given.len(), refresh.len(), open), (8, 1, 1));
    }
}

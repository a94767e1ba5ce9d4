//! What must not be overtaken: on threads and in real time. Each goes red without the guard it names.

use proto::sso::v1::{
    AccountType, ChangePasswordRequest, CompletePasswordResetRequest, CreateUserRequest, GetAccountRequest,
    LockUserRequest, StartPasswordResetRequest, UnlockUserRequest, complete_password_reset_response::Outcome as Reset,
    create_user_request, sign_in_response::Outcome, start_password_reset_request::Identifier,
};
use tokio::task::JoinSet;

use crate::world::{Person, World, bearer, id};

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
        let lock = LockUserRequest { request_id: id(), user_id: user.id.clone() };
        world.users().lock_user(world.as_operator(lock)).await.expect("locked");
        for outcome in racing.join_all().await {
            let Some(Outcome::Tokens(tokens)) = outcome else { continue };
            let account = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
            assert!(account.is_err(), "a locked user has a session");
        }
        let unlock = UnlockUserRequest { request_id: id(), user_id: user.id.clone() };
        world.users().unlock_user(world.as_operator(unlock)).await.expect("unlocked");
    }
}

/// The end of the reset in the commit that sets the password (`store::resets::end`): the owner's own change, made meanwhile, is not undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_does_not_undo_a_change_made_meanwhile() {
    let world = World::threaded().await;
    for at in 0..12 {
        let person = Person::with_email(&format!("person{at}"));
        let create = CreateUserRequest {
            request_id: id(),
            identifier: Some(create_user_request::Identifier::Email(person.address.clone())),
            password: person.password.clone(),
            username: person.username.clone(),
            account_type: AccountType::Customer.into(),
            vouch_identifier: true,
            ..Default::default()
        };
        world.users().create_user(world.as_operator(create)).await.expect("created");
        let Some(Outcome::Tokens(tokens)) = world.sign_in(&person).await.expect("in").outcome else {
            panic!("no tokens")
        };
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

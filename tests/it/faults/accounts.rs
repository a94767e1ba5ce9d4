//! A person's account: it comes, changes and goes.

use std::time::Duration;

use proto::sso::v1::{ChangePasswordRequest, ChangeUsernameRequest, DeleteAccountRequest, SignUpRequest, Tokens, User};
use tonic::{Code, Status};

use super::{End, Flow, NEW};
use crate::{
    notices,
    world::{Person, World, bearer, id, success, verification},
};

pub(super) struct SignUp(SignUpRequest);

impl Flow for SignUp {
    /// The user's id, and the verification's.
    type Answer = (String, String);

    async fn prepare(_: &World, person: &Person) -> Self {
        Self(person.sign_up())
    }

    async fn act(&self, world: &World) -> Result<Self::Answer, Status> {
        let answer = world.auth().sign_up(self.0.clone()).await?.into_inner();
        let verification_id = verification(&answer);
        Ok((answer.user.expect("a user").id, verification_id))
    }

    async fn check(&self, end: &End<'_>, (user_id, verification_id): &Self::Answer) {
        let End { world, person, when, .. } = end;
        assert_eq!(end.user_id, user_id, "{when}");
        assert_eq!(end.known().await, Some((person.username.clone(), 1, 0, 1)), "{when}");
        let twice = Person { address: format!("x{}", person.address), ..(*person).clone() };
        let twice = world.sign_up(&twice).await.expect_err("the name is taken");
        assert_eq!(twice.code(), Code::AlreadyExists, "{when}");
        let code = world.code(&person.address).await;
        success(world.verify(verification_id, &code).await.expect(when));
        end.is_let_in(person, 2).await;
    }
}

pub(super) struct ChangePassword {
    request: ChangePasswordRequest,
    here: Tokens,
    there: Tokens,
}

impl Flow for ChangePassword {
    type Answer = ();

    const BACKGROUND: &'static [&'static str] = &["claim_notices"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, here) = world.join(person).await;
        let (old_password, new_password) = (person.password.clone(), NEW.to_owned());
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        Self { request, here, there: world.let_in(person).await }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        let request = bearer(self.request.clone(), &self.here.access_token);
        world.account().change_password(request).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        end.is_told(&end.person.address, notices::CHANGED).await;
        end.is_over(&self.there.refresh_token).await;
        end.is_kept_out(end.person).await;
        end.is_let_in(&Person { password: NEW.to_owned(), ..end.person.clone() }, 2).await;
    }
}

pub(super) struct ChangeUsername {
    request: ChangeUsernameRequest,
    tokens: Tokens,
}

impl Flow for ChangeUsername {
    type Answer = User;

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        Self {
            request: ChangeUsernameRequest { request_id: id(), username: format!("new-{}", person.username) },
            tokens,
        }
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        let request = bearer(self.request.clone(), &self.tokens.access_token);
        Ok(world.account().change_username(request).await?.into_inner().user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        assert_eq!(end.known().await, Some((self.request.username.clone(), 1, 0, 2)), "once, {}", end.when);
        let next = Person { address: format!("x{}", end.person.address), ..end.person.clone() };
        end.world.sign_up(&next).await.expect("the old name is free");
    }
}

pub(super) struct Delete {
    request: DeleteAccountRequest,
    tokens: Tokens,
}

impl Flow for Delete {
    type Answer = ();

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        Self { request: DeleteAccountRequest { request_id: id(), password: person.password.clone() }, tokens }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        let request = bearer(self.request.clone(), &self.tokens.access_token);
        world.account().delete_account(request).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        assert_eq!(end.known().await, None, "{}", end.when);
        end.is_over(&self.tokens.refresh_token).await;
        end.is_kept_out(end.person).await;
    }
}

/// Nobody asks for it: a day goes by, and another if the first was in vain.
pub(super) struct Reap;

impl Flow for Reap {
    type Answer = ();

    const BACKGROUND: &'static [&'static str] = &["claim_provisioning", "never_verified", "reap"];

    async fn prepare(world: &World, person: &Person) -> Self {
        world.sign_up(person).await.expect("signs up");
        Self
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.live(Duration::from_secs(25 * 3600)).await;
        Ok(())
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        assert_eq!(end.known().await, None, "{}", end.when);
        end.world.sign_up(end.person).await.expect("name and address are free");
    }
}

//! Sessions: they begin, go on and end.

use proto::sso::v1::{
    RefreshTokenRequest, RevokeOtherSessionsRequest, RevokeSessionRequest, SignInRequest, SignOutRequest, Tokens,
    sign_in_response::Outcome,
};
use tonic::Status;

use super::{End, Flow};
use crate::world::{Person, World, bearer};

pub(super) struct SignIn(SignInRequest);

impl Flow for SignIn {
    /// The refresh token.
    type Answer = String;

    async fn prepare(world: &World, person: &Person) -> Self {
        world.join(person).await;
        Self(person.sign_in())
    }

    async fn act(&self, world: &World) -> Result<String, Status> {
        match world.auth().sign_in(self.0.clone()).await?.into_inner().outcome {
            Some(Outcome::Tokens(tokens)) => Ok(tokens.refresh_token),
            other => panic!("no tokens: {other:?}"),
        }
    }

    async fn check(&self, end: &End<'_>, refresh_token: &String) {
        end.world.refresh(refresh_token).await.expect(end.when);
        end.is_let_in(end.person, 3).await;
    }
}

pub(super) struct Refresh(RefreshTokenRequest);

impl Flow for Refresh {
    /// The successor.
    type Answer = String;

    async fn prepare(world: &World, person: &Person) -> Self {
        Self(RefreshTokenRequest { refresh_token: world.join(person).await.1.refresh_token })
    }

    async fn act(&self, world: &World) -> Result<String, Status> {
        Ok(world.refresh(&self.0.refresh_token).await?.refresh_token)
    }

    async fn check(&self, end: &End<'_>, successor: &String) {
        end.world.refresh(successor).await.expect(end.when);
        end.is_let_in(end.person, 2).await;
    }
}

pub(super) struct SignOut(SignOutRequest);

impl Flow for SignOut {
    type Answer = ();

    async fn prepare(world: &World, person: &Person) -> Self {
        Self(SignOutRequest { refresh_token: world.join(person).await.1.refresh_token })
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.auth().sign_out(self.0.clone()).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        end.is_over(&self.0.refresh_token).await;
        end.is_let_in(end.person, 1).await;
    }
}

pub(super) struct Revoke {
    request: RevokeSessionRequest,
    here: Tokens,
    there: Tokens,
}

impl Flow for Revoke {
    type Answer = ();

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, here) = world.join(person).await;
        let there = world.let_in(person).await;
        let theirs = world.sessions(&there).await.expect("listed").into_iter().find(|one| one.current);
        Self { request: RevokeSessionRequest { session_id: theirs.expect("current").id }, here, there }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.account().revoke_session(bearer(self.request.clone(), &self.here.access_token)).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        end.is_over(&self.there.refresh_token).await;
        end.is_let_in(end.person, 2).await;
    }
}

pub(super) struct RevokeOthers {
    here: Tokens,
    there: [Tokens; 2],
}

impl Flow for RevokeOthers {
    type Answer = ();

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, here) = world.join(person).await;
        Self { here, there: [world.let_in(person).await, world.let_in(person).await] }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        let request = bearer(RevokeOtherSessionsRequest {}, &self.here.access_token);
        world.account().revoke_other_sessions(request).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        for there in &self.there {
            end.is_over(&there.refresh_token).await;
        }
        end.is_let_in(end.person, 2).await;
    }
}

//! What operators do.

use std::time::Duration;

use onebox::Part;
use proto::{
    blog::v1::{self as blog, user_service_client::UserServiceClient as BlogUsers},
    sso::v1::{
        CreateUserRequest, DeleteUserRequest, GetAccountRequest, LockUserRequest, OfficialTier, PublicKey,
        ReconcileProvisioningRequest, RetryProvisioningRequest, RotateKeyRequest, Target, Tokens, UnlockUserRequest,
        UpdateUserRequest, User, retry_provisioning_request::Scope, token_service_client::TokenServiceClient,
    },
};
use tonic::{Code, Status};

use super::{End, Flow};
use crate::{
    targets::change,
    world::{Person, World, bearer, id},
};

pub(super) struct Create(CreateUserRequest);

impl Flow for Create {
    type Answer = User;

    async fn prepare(_: &World, person: &Person) -> Self {
        Self(person.create())
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        let answer = world.users().create_user(world.as_operator(self.0.clone())).await?;
        Ok(answer.into_inner().user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        assert_eq!(end.known().await, Some((end.person.username.clone(), 1, 0, 1)), "{}", end.when);
        end.is_let_in(end.person, 1).await;
    }
}

pub(super) struct Update(UpdateUserRequest);

impl Flow for Update {
    type Answer = User;

    async fn prepare(world: &World, person: &Person) -> Self {
        Self(change(&world.join(person).await.0.id, OfficialTier::Premium))
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        Ok(world.update(self.0.clone()).await?.user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        let premium = OfficialTier::Premium.into();
        assert_eq!(end.known().await, Some((end.person.username.clone(), 2, premium, 2)), "once, {}", end.when);
    }
}

pub(super) struct Delete {
    request: DeleteUserRequest,
    tokens: Tokens,
}

impl Flow for Delete {
    type Answer = ();

    async fn prepare(world: &World, person: &Person) -> Self {
        let (user, tokens) = world.join(person).await;
        Self { request: DeleteUserRequest { request_id: id(), user_id: user.id }, tokens }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.delete(&self.request.request_id, &self.request.user_id).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        assert_eq!(end.known().await, None, "{}", end.when);
        end.is_over(&self.tokens.refresh_token).await;
        end.is_kept_out(end.person).await;
    }
}

pub(super) struct Lock {
    request: LockUserRequest,
    tokens: Tokens,
}

impl Flow for Lock {
    type Answer = User;

    async fn prepare(world: &World, person: &Person) -> Self {
        let (user, tokens) = world.join(person).await;
        Self { request: LockUserRequest { request_id: id(), user_id: user.id }, tokens }
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        let answer = world.users().lock_user(world.as_operator(self.request.clone())).await?;
        Ok(answer.into_inner().user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        end.is_over(&self.tokens.refresh_token).await;
        end.is_kept_out(end.person).await;
    }
}

pub(super) struct Unlock {
    request: UnlockUserRequest,
    tokens: Tokens,
}

impl Flow for Unlock {
    type Answer = User;

    async fn prepare(world: &World, person: &Person) -> Self {
        let lock = Lock::prepare(world, person).await;
        let user = lock.act(world).await.expect("locked");
        Self { request: UnlockUserRequest { request_id: id(), user_id: user.id }, tokens: lock.tokens }
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        let answer = world.users().unlock_user(world.as_operator(self.request.clone())).await?;
        Ok(answer.into_inner().user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        end.is_over(&self.tokens.refresh_token).await;
        end.is_let_in(end.person, 1).await;
    }
}

/// Of a user whom Blog could not be told of.
pub(super) struct Retry(RetryProvisioningRequest);

impl Flow for Retry {
    type Answer = ();

    const BACKGROUND: &'static [&'static str] = &["claim_provisioning"];

    async fn prepare(world: &World, person: &Person) -> Self {
        world.plaza().withdraw(Part::Blog);
        let user = world.sign_up(person).await.expect("signs up").user.expect("a user");
        world.plaza().publish(Part::Blog);
        assert_eq!(world.all_owed().await.len(), 1);
        Self(RetryProvisioningRequest { scope: Some(Scope::UserId(user.id)) })
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.users().retry_provisioning(world.as_operator(self.0.clone())).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        assert_eq!(end.known().await, Some((end.person.username.clone(), 1, 0, 1)), "{}", end.when);
    }
}

/// Of a Blog that knows of a change that SSO does not, as after a backup of SSO was restored.
pub(super) struct Reconcile(ReconcileProvisioningRequest);

impl Reconcile {
    const THEIRS: i64 = 7;
}

impl Flow for Reconcile {
    type Answer = ();

    const BACKGROUND: &'static [&'static str] =
        &["/blog.v1.UserService/ListUsers", "claim_provisioning", "compare_users", "mend_users"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (user, _) = world.join(person).await;
        let user = blog::User {
            id: user.id,
            username: format!("new-{}", person.username),
            account_type: blog::AccountType::Customer.into(),
            official_tier: blog::OfficialTier::Unspecified.into(),
            version: Self::THEIRS,
        };
        let mut blog = BlogUsers::new(world.plaza().peer(Part::Blog, Part::Sso).expect("it runs"));
        blog.update_user(blog::UpdateUserRequest { user: Some(user) }).await.expect("a later version");
        // What changed within a minute is left alone.
        world.leap(Duration::from_secs(61)).await;
        let target = Target::Blog.into();
        Self(ReconcileProvisioningRequest { target, page_size: 500, ..ReconcileProvisioningRequest::default() })
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        world.users().reconcile_provisioning(world.as_operator(self.0.clone())).await.map(drop)
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        let latest = Some((end.person.username.clone(), 1, 0, Self::THEIRS + 1));
        assert_eq!(end.known().await, latest, "what SSO holds, above all others once, {}", end.when);
    }
}

/// With an end to all other keys.
pub(super) struct RotateKey {
    request: RotateKeyRequest,
    before: Tokens,
}

impl Flow for RotateKey {
    type Answer = Vec<PublicKey>;

    const BACKGROUND: &'static [&'static str] = &["rotate_key", "signing_keys"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, before) = world.join(person).await;
        Self { request: RotateKeyRequest { request_id: id(), end_others: true }, before }
    }

    async fn act(&self, world: &World) -> Result<Vec<PublicKey>, Status> {
        let mut tokens = TokenServiceClient::new(world.plaza().client(Part::Sso).expect("it runs"));
        Ok(tokens.rotate_key(world.as_operator(self.request.clone())).await?.into_inner().public_keys)
    }

    async fn check(&self, end: &End<'_>, keys: &Vec<PublicKey>) {
        assert_eq!(keys.len(), 1, "{}", end.when);
        let get = async |tokens: &Tokens| {
            end.world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await
        };
        assert_eq!(get(&self.before).await.expect_err(end.when).code(), Code::Unauthenticated, "{}", end.when);
        let after = end.world.refresh(&self.before.refresh_token).await.expect("the session goes on");
        get(&after).await.expect(end.when);
    }
}

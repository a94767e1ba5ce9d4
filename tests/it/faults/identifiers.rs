//! What a person signs in with: another is asked for, proven, or taken away.

use proto::sso::v1::{
    ConfirmIdentifierChangeRequest, RemoveIdentifierRequest, StartIdentifierChangeRequest, Tokens, User, Verification,
    remove_identifier_request::Identifier,
};
use tonic::Status;

use super::{End, Flow, LATER, by_phone, moved};
use crate::{
    identifiers::{CHANGED, REMOVED, change_to, changed, confirmation, prepared},
    world::{Person, World, bearer, id},
};

pub(super) struct Start {
    request: StartIdentifierChangeRequest,
    tokens: Tokens,
}

impl Flow for Start {
    type Answer = Verification;

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        Self { request: change_to(&moved(person).address, ""), tokens }
    }

    async fn act(&self, world: &World) -> Result<Verification, Status> {
        world.start_change(&self.tokens, self.request.clone()).await
    }

    async fn check(&self, end: &End<'_>, pending: &Verification) {
        let confirm = confirmation(pending, &end.world.code(&moved(end.person).address).await);
        changed(end.world.confirm_change(&self.tokens, confirm).await.expect(end.when));
    }
}

pub(super) struct Confirm {
    request: ConfirmIdentifierChangeRequest,
    tokens: Tokens,
}

impl Flow for Confirm {
    type Answer = User;

    const BACKGROUND: &'static [&'static str] = &["claim_notices"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        Self { request: prepared(world, &tokens, &moved(person).address).await, tokens }
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        Ok(changed(world.confirm_change(&self.tokens, self.request.clone()).await?))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        end.is_told(&end.person.address, CHANGED).await;
        end.is_kept_out(end.person).await;
        end.is_let_in(&moved(end.person), 2).await;
    }
}

pub(super) struct Remove {
    request: RemoveIdentifierRequest,
    tokens: Tokens,
}

impl Flow for Remove {
    type Answer = User;

    const BACKGROUND: &'static [&'static str] = &["claim_notices"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        world.change_identifier(&tokens, &by_phone(person).address).await;
        // That there is another is told before.
        world.pass(LATER).await;
        let identifier = Some(Identifier::Email(person.address.clone()));
        Self { request: RemoveIdentifierRequest { request_id: id(), identifier, password: String::new() }, tokens }
    }

    async fn act(&self, world: &World) -> Result<User, Status> {
        let request = bearer(self.request.clone(), &self.tokens.access_token);
        Ok(world.account().remove_identifier(request).await?.into_inner().user.expect("a user"))
    }

    async fn check(&self, end: &End<'_>, _: &User) {
        for address in [&end.person.address, &by_phone(end.person).address] {
            end.is_told(address, REMOVED).await;
        }
        end.is_kept_out(end.person).await;
        end.is_let_in(&by_phone(end.person), 2).await;
    }
}

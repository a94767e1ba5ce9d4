//! What goes by a code: it is asked for, and given.

use std::time::Duration;

use proto::sso::v1::{
    CompleteCodeSignInRequest, CompletePasswordResetRequest, SendOtpRequest, SendOtpResponse, StartCodeSignInRequest,
    StartPasswordResetRequest, Tokens, Verification, VerifyOtpRequest, complete_password_reset_response::Outcome,
};
use tonic::Status;

use super::{End, Flow, NEW};
use crate::{
    notices, passwordless, recovery,
    world::{Person, World, guess, id, success, verification},
};

/// After which another code may go to an address.
const COOLED: Duration = Duration::from_secs(60);

pub(super) struct Send(SendOtpRequest);

impl Flow for Send {
    type Answer = SendOtpResponse;

    async fn prepare(world: &World, person: &Person) -> Self {
        let verification_id = verification(&world.sign_up(person).await.expect("signs up"));
        world.leap(COOLED).await;
        Self(SendOtpRequest { request_id: id(), verification_id })
    }

    async fn act(&self, world: &World) -> Result<SendOtpResponse, Status> {
        Ok(world.auth().send_otp(self.0.clone()).await?.into_inner())
    }

    async fn check(&self, end: &End<'_>, _: &SendOtpResponse) {
        let code = end.world.code(&end.person.address).await;
        success(end.world.verify(&self.0.verification_id, &code).await.expect(end.when));
    }
}

pub(super) struct Verify(VerifyOtpRequest);

impl Flow for Verify {
    /// The refresh token.
    type Answer = String;

    async fn prepare(world: &World, person: &Person) -> Self {
        let signed_up = world.sign_up(person).await.expect("signs up");
        Self(guess(&verification(&signed_up), &world.code(&person.address).await))
    }

    async fn act(&self, world: &World) -> Result<String, Status> {
        Ok(success(world.auth().verify_otp(self.0.clone()).await?.into_inner()).1.refresh_token)
    }

    async fn check(&self, end: &End<'_>, refresh_token: &String) {
        end.world.refresh(refresh_token).await.expect(end.when);
        end.is_let_in(end.person, 2).await;
    }
}

pub(super) struct StartSignIn(StartCodeSignInRequest);

impl Flow for StartSignIn {
    type Answer = Verification;

    async fn prepare(world: &World, person: &Person) -> Self {
        world.join(person).await;
        world.leap(COOLED).await;
        Self(passwordless::asked(&person.address))
    }

    async fn act(&self, world: &World) -> Result<Verification, Status> {
        let answer = world.auth().start_code_sign_in(self.0.clone()).await?.into_inner();
        Ok(answer.verification.expect("a verification"))
    }

    async fn check(&self, end: &End<'_>, pending: &Verification) {
        let code = end.world.code(&end.person.address).await;
        passwordless::sign_in(end.world, &passwordless::completion(pending, &code)).await.expect(end.when);
    }
}

pub(super) struct CompleteSignIn(CompleteCodeSignInRequest);

impl Flow for CompleteSignIn {
    /// The refresh token.
    type Answer = String;

    async fn prepare(world: &World, person: &Person) -> Self {
        world.join(person).await;
        Self(passwordless::prepared(world, person).await)
    }

    async fn act(&self, world: &World) -> Result<String, Status> {
        Ok(passwordless::sign_in(world, &self.0).await?.refresh_token)
    }

    async fn check(&self, end: &End<'_>, refresh_token: &String) {
        end.world.refresh(refresh_token).await.expect(end.when);
        end.is_let_in(end.person, 3).await;
    }
}

pub(super) struct StartReset(StartPasswordResetRequest);

impl Flow for StartReset {
    type Answer = Verification;

    async fn prepare(world: &World, person: &Person) -> Self {
        world.join(person).await;
        world.leap(COOLED).await;
        Self(recovery::forgot(&person.address))
    }

    async fn act(&self, world: &World) -> Result<Verification, Status> {
        let answer = world.auth().start_password_reset(self.0.clone()).await?.into_inner();
        Ok(answer.verification.expect("a verification"))
    }

    async fn check(&self, end: &End<'_>, pending: &Verification) {
        let completion = recovery::completion(pending, &end.world.code(&end.person.address).await);
        let outcome = recovery::complete(end.world, completion).await.expect(end.when);
        assert!(matches!(outcome, Outcome::Success(_)), "{outcome:?} {}", end.when);
    }
}

pub(super) struct CompleteReset {
    request: CompletePasswordResetRequest,
    tokens: Tokens,
}

impl Flow for CompleteReset {
    type Answer = ();

    const BACKGROUND: &'static [&'static str] = &["claim_notices"];

    async fn prepare(world: &World, person: &Person) -> Self {
        let (_, tokens) = world.join(person).await;
        world.leap(COOLED).await;
        let pending = recovery::start(world, &person.address).await.expect("a code");
        Self { request: recovery::completion(&pending, &world.code(&person.address).await), tokens }
    }

    async fn act(&self, world: &World) -> Result<(), Status> {
        match recovery::complete(world, self.request.clone()).await? {
            Outcome::Success(_) => Ok(()),
            Outcome::Failure(failure) => panic!("the code was not accepted: {failure:?}"),
        }
    }

    async fn check(&self, end: &End<'_>, (): &()) {
        end.is_told(&end.person.address, notices::RESET).await;
        end.is_over(&self.tokens.refresh_token).await;
        end.is_kept_out(end.person).await;
        end.is_let_in(&Person { password: NEW.to_owned(), ..end.person.clone() }, 1).await;
    }
}

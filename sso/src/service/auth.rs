//! sso.v1.AuthService.

use std::sync::Arc;

use mesh::access::client_address;
use proto::sso::v1::{
    CompleteCodeSignInRequest, CompleteCodeSignInResponse, CompletePasswordResetRequest, CompletePasswordResetResponse,
    RefreshTokenRequest, RefreshTokenResponse, SendOtpRequest, SendOtpResponse, SignInRequest, SignInResponse,
    SignOutRequest, SignOutResponse, SignUpRequest, SignUpResponse, StartCodeSignInRequest, StartCodeSignInResponse,
    StartPasswordResetRequest, StartPasswordResetResponse, VerifyOtpRequest, VerifyOtpResponse,
    auth_service_server::AuthService,
};
use tonic::{Request, Response, Status};

use super::{parse, render};
use crate::{
    challenge, model::Purpose, otp, passwordless, recovery, refresh, session, signin, signup, sso::Sso, verify,
};

pub(super) struct Auth(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl AuthService for Auth {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let address = client_address(&request);
        let done = signup::sign_up(&self.0, request.into_inner().try_into()?, address).await?;
        Ok(Response::new(SignUpResponse {
            user: Some(render::user(&done.user)),
            provisioning: render::provisioning(&done.provisioning),
            verification: done.verification.map(render::verification),
        }))
    }

    async fn send_otp(&self, request: Request<SendOtpRequest>) -> Result<Response<SendOtpResponse>, Status> {
        let address = client_address(&request);
        let ask: parse::codes::SendOtp = request.into_inner().try_into()?;
        let pending = otp::send(&self.0, ask.request_id, ask.verification_id, address).await?;
        Ok(Response::new(SendOtpResponse { verification: Some(render::verification(pending)) }))
    }

    async fn verify_otp(&self, request: Request<VerifyOtpRequest>) -> Result<Response<VerifyOtpResponse>, Status> {
        let address = client_address(&request);
        let mut guess: verify::Guess = request.into_inner().try_into()?;
        guess.origin.address = address;
        let checked = verify::verify(&self.0, guess).await?;
        Ok(Response::new(render::checked(checked)))
    }

    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let address = client_address(&request);
        let mut ask: signin::SignIn = request.into_inner().try_into()?;
        ask.origin.address = address;
        Ok(Response::new(render::signed_in(signin::sign_in(&self.0, ask).await?)))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let (address, request) = (client_address(&request), request.into_inner());
        let tokens = refresh::refresh(&self.0, parse::refresh_token(&request.refresh_token)?, address).await?;
        Ok(Response::new(RefreshTokenResponse { tokens: Some(render::tokens(tokens)) }))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let (address, request) = (client_address(&request), request.into_inner());
        session::sign_out(&self.0, parse::refresh_token(&request.refresh_token)?, address).await?;
        Ok(Response::new(SignOutResponse {}))
    }

    async fn start_password_reset(
        &self,
        request: Request<StartPasswordResetRequest>,
    ) -> Result<Response<StartPasswordResetResponse>, Status> {
        let (address, ask) = (client_address(&request), request.into_inner().try_into()?);
        let pending = challenge::start(&self.0, Purpose::ResetPassword, ask, address).await?;
        Ok(Response::new(StartPasswordResetResponse { verification: Some(render::verification(pending)) }))
    }

    async fn complete_password_reset(
        &self,
        request: Request<CompletePasswordResetRequest>,
    ) -> Result<Response<CompletePasswordResetResponse>, Status> {
        let address = client_address(&request);
        let set = recovery::complete(&self.0, request.into_inner().try_into()?, address).await?;
        Ok(Response::new(render::reset(set)))
    }

    async fn start_code_sign_in(
        &self,
        request: Request<StartCodeSignInRequest>,
    ) -> Result<Response<StartCodeSignInResponse>, Status> {
        let address = client_address(&request);
        let pending = passwordless::start(&self.0, request.into_inner().try_into()?, address).await?;
        Ok(Response::new(StartCodeSignInResponse { verification: Some(render::verification(pending)) }))
    }

    async fn complete_code_sign_in(
        &self,
        request: Request<CompleteCodeSignInRequest>,
    ) -> Result<Response<CompleteCodeSignInResponse>, Status> {
        let address = client_address(&request);
        let mut guess: verify::Guess = request.into_inner().try_into()?;
        guess.origin.address = address;
        Ok(Response::new(render::code_sign_in(passwordless::complete(&self.0, guess).await?)))
    }
}

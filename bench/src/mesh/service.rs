//! The callee of the benchmarks: `sms.v1.OtpService`, of which one method is called.

use std::{error::Error, future::Future, sync::Arc};

use ::mesh::{
    Clock, Limits, Router, Server, Stack,
    token::{MeshKey, Verifier},
};
use proto::sms::v1::{
    AcknowledgeOtpRequest, AcknowledgeOtpResponse, ResendOtpRequest, ResendOtpResponse, SendOtpRequest,
    SendOtpResponse, VerifyOtpRequest, VerifyOtpResponse,
    otp_service_server::{OtpService, OtpServiceServer},
};
use tonic::{Request, Response, Status};

/// Answers AcknowledgeOtp once `work` is done.
pub(crate) struct Callee<W>(pub(crate) W);

/// Nothing to do: all that is measured is the way there and back.
pub(crate) async fn nothing() {}

#[tonic::async_trait]
impl<W, F> OtpService for Callee<W>
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    async fn send_otp(&self, _: Request<SendOtpRequest>) -> Result<Response<SendOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn resend_otp(&self, _: Request<ResendOtpRequest>) -> Result<Response<ResendOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn verify_otp(&self, _: Request<VerifyOtpRequest>) -> Result<Response<VerifyOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn acknowledge_otp(
        &self,
        _: Request<AcknowledgeOtpRequest>,
    ) -> Result<Response<AcknowledgeOtpResponse>, Status> {
        (self.0)().await;
        Ok(Response::new(AcknowledgeOtpResponse::default()))
    }
}

/// The callee behind every layer of the mesh.
pub(crate) fn router<W, F>(key: &MeshKey, work: W) -> Result<Router, Box<dyn Error>>
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let verifier = Verifier::new(key.keyring(), "bench", "plaza", "sso", Clock::system());
    let stack = Stack { verifier: Arc::new(verifier), limits: Limits::default(), tracer: mesh::Tracer::off() };
    Ok(Server::new("sms", stack).add(OtpServiceServer::new(Callee(work))).build()?)
}

/// A key for a deployment of one run.
pub(crate) fn key() -> MeshKey {
    MeshKey::new([0; 32], "bench")
}

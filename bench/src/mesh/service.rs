//! The callee of the benchmarks: `social.v1.ProfileService`, of which the method for persons is called.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use ::mesh::{
    Clock, Limits, Random, Router, Server, Stack, Tracer,
    token::{Claims, Expected, Kind, MeshKey, Signer, Verifier, VerifyingKey},
    uuid_v7,
};
use proto::social::v1::{
    GetProfileRequest, GetProfileResponse, UpdateProfileRequest, UpdateProfileResponse,
    profile_service_server::{ProfileService, ProfileServiceServer},
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
};

/// Its name, and its caller's.
pub(crate) const CALLEE: &str = "social";
pub(crate) const CALLER: &str = "sso";
const DEPLOYMENT: &str = "bench";

/// Answers UpdateProfile once `work` is done.
pub(crate) struct Callee<W>(pub(crate) W);

/// Nothing to do: all that is measured is the way there and back.
pub(crate) async fn nothing() {}

#[tonic::async_trait]
impl<W, F> ProfileService for Callee<W>
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    async fn get_profile(&self, _: Request<GetProfileRequest>) -> Result<Response<GetProfileResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_profile(
        &self,
        _: Request<UpdateProfileRequest>,
    ) -> Result<Response<UpdateProfileResponse>, Status> {
        (self.0)().await;
        Ok(Response::new(UpdateProfileResponse::default()))
    }
}

/// The callee behind every layer of the mesh.
pub(crate) fn router<W, F>(work: W, tracer: Tracer) -> Result<Router, Box<dyn Error>>
where
    W: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let keyring = key().keyring();
    let issuer = VerifyingKey { key: issuer().public().clone(), kinds: vec![Kind::Access], not_after: None };
    keyring.insert(issuer);
    let verifier =
        Verifier::new(keyring, Expected { deployment: DEPLOYMENT, audience: "plaza", issuer: CALLER }, Clock::system());
    let stack = Stack { verifier: Arc::new(verifier), limits: Limits::default(), tracer, random: Random::system() };
    Ok(Server::new(CALLEE, stack).add(ProfileServiceServer::new(Callee(work))).build()?)
}

/// A key for a deployment of one run.
pub(crate) fn key() -> MeshKey {
    MeshKey::new([0; 32], DEPLOYMENT)
}

/// What a person shows with each call: valid for a quarter of an hour.
pub(crate) fn authorization() -> Result<MetadataValue<Ascii>, Box<dyn Error>> {
    let (clock, random) = (Clock::system(), Random::system());
    let (now, id) = (clock.now(), uuid_v7(&clock, &random));
    let token = issuer().sign(&Claims {
        kind: Kind::Access,
        issuer: CALLER.to_owned(),
        audience: "plaza".to_owned(),
        subject: id.to_string(),
        session: Some(id),
        id,
        issued_at: now,
        not_before: now,
        expires_at: now + Duration::from_secs(900),
    });
    Ok(format!("Bearer {token}").parse()?)
}

fn issuer() -> Signer {
    Signer::from_bytes([1; 32], DEPLOYMENT)
}

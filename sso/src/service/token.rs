//! sso.v1.TokenService.

use std::{sync::Arc, time::SystemTime};

use mesh::token::PublicKey;
use proto::sso::v1::{
    self as pb, ListPublicKeysRequest, ListPublicKeysResponse, RotateKeyRequest, RotateKeyResponse,
    token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::{operator, parse};
use crate::{error::Error, sso::Sso};

pub(super) struct Keys(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl TokenService for Keys {
    async fn list_public_keys(
        &self,
        _: Request<ListPublicKeysRequest>,
    ) -> Result<Response<ListPublicKeysResponse>, Status> {
        Ok(Response::new(ListPublicKeysResponse { public_keys: self.public_keys() }))
    }

    async fn rotate_key(&self, request: Request<RotateKeyRequest>) -> Result<Response<RotateKeyResponse>, Status> {
        let operator = operator::name(&request);
        let RotateKeyRequest { request_id, end_others } = request.into_inner();
        self.0
            .issuer
            .rotate_now(parse::id("request_id", &request_id)?, end_others, &operator)
            .await
            .map_err(Error::from)?;
        tracing::warn!(operator, end_others, "the signing key was rotated");
        Ok(Response::new(RotateKeyResponse { public_keys: self.public_keys() }))
    }
}

impl Keys {
    fn public_keys(&self) -> Vec<pb::PublicKey> {
        let key = |(key, end): (PublicKey, Option<SystemTime>)| pb::PublicKey {
            key_id: key.kid().to_owned(),
            key: key.paserk(),
            expire_time: end.map(Into::into),
        };
        self.0.issuer.public_keys().into_iter().map(key).collect()
    }
}

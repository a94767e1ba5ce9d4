//! sso.v1.TokenService.

use std::sync::Arc;

use mesh::token::PublicKey;
use proto::sso::v1::{self as pb, ListPublicKeysRequest, ListPublicKeysResponse, token_service_server::TokenService};
use tonic::{Request, Response, Status};

use crate::sso::Sso;

pub(super) struct Keys(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl TokenService for Keys {
    async fn list_public_keys(
        &self,
        _: Request<ListPublicKeysRequest>,
    ) -> Result<Response<ListPublicKeysResponse>, Status> {
        let key = |key: PublicKey| pb::PublicKey { key_id: key.kid().to_owned(), key: key.paserk(), expire_time: None };
        let public_keys = self.0.issuer.public_keys().into_iter().map(key).collect();
        Ok(Response::new(ListPublicKeysResponse { public_keys }))
    }
}

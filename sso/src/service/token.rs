//! sso.v1.TokenService.

use std::{sync::Arc, time::SystemTime};

use futures_util::{TryStreamExt as _, stream};
use mesh::token::PublicKey;
use proto::sso::v1::{
    self as pb, IntrospectTokenRequest, IntrospectTokenResponse, ListPublicKeysRequest, ListPublicKeysResponse,
    RotateKeyRequest, RotateKeyResponse, WatchRevocationsRequest, WatchRevocationsResponse,
    token_service_server::TokenService,
};
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::{operator, parse, render};
use crate::{error::Error, introspect, revocations::Watch, sso::Sso};

pub(super) struct Keys(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl TokenService for Keys {
    async fn list_public_keys(
        &self,
        _: Request<ListPublicKeysRequest>,
    ) -> Result<Response<ListPublicKeysResponse>, Status> {
        Ok(Response::new(ListPublicKeysResponse { public_keys: self.public_keys() }))
    }

    type WatchRevocationsStream = BoxStream<WatchRevocationsResponse>;

    async fn watch_revocations(
        &self,
        request: Request<WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let watch = Watch::begin(&self.0, parse::cursor(&request.into_inner().cursor)?);
        let news = stream::try_unfold(watch, |mut watch| async move {
            Ok::<_, Error>(watch.next().await?.map(|news| (news, watch)))
        });
        Ok(Response::new(Box::pin(news.map_ok(render::revocations).map_err(Status::from))))
    }

    async fn introspect_token(
        &self,
        request: Request<IntrospectTokenRequest>,
    ) -> Result<Response<IntrospectTokenResponse>, Status> {
        let token = request.into_inner().access_token;
        let found = introspect::introspect(&self.0, parse::access_token(&token)?).await?;
        Ok(Response::new(found.as_deref().map(render::introspected).unwrap_or_default()))
    }

    async fn rotate_key(&self, request: Request<RotateKeyRequest>) -> Result<Response<RotateKeyResponse>, Status> {
        let operator = operator::name(&request);
        let RotateKeyRequest { request_id, end_others } = request.into_inner();
        self.0.issuer.rotate_now(parse::id("request_id", &request_id)?, end_others, &operator).await?;
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

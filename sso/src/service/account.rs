//! sso.v1.AccountService.

use std::sync::Arc;

use mesh::access;
use proto::sso::v1::{GetAccountRequest, GetAccountResponse, account_service_server::AccountService};
use tonic::{Request, Response, Status};

use super::render;
use crate::{create, sso::Sso};

pub(super) struct Account(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl AccountService for Account {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
        let person = access::person(&request)?;
        let (user, _) = create::user_and_provisioning(&self.0, person.user_id).await?;
        Ok(Response::new(GetAccountResponse { user: Some(render::user(&user)) }))
    }
}

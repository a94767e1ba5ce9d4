//! sso.v1.UserService.

use std::sync::Arc;

use proto::sso::v1::{
    CreateUserRequest, CreateUserResponse, GetProvisioningRequest, GetProvisioningResponse, GetUserRequest,
    GetUserResponse, user_service_server::UserService,
};
use tonic::{Request, Response, Status};

use super::{parse, render};
use crate::{create, signup, sso::Sso};

pub(super) struct Users(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> {
        let ask = request.into_inner().try_into()?;
        let done = signup::create_user(&self.0, ask).await?;
        Ok(Response::new(CreateUserResponse {
            user: Some(render::user(&done.user)),
            provisioning: render::provisioning(&done.provisioning),
            verification: done.verification.map(render::verification),
        }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let id = parse::id("user_id", &request.into_inner().user_id)?;
        let (user, _) = create::user_and_provisioning(&self.0, id).await?;
        Ok(Response::new(GetUserResponse { user: Some(render::user(&user)) }))
    }

    async fn get_provisioning(
        &self,
        request: Request<GetProvisioningRequest>,
    ) -> Result<Response<GetProvisioningResponse>, Status> {
        let id = parse::id("user_id", &request.into_inner().user_id)?;
        let (_, provisioning) = create::user_and_provisioning(&self.0, id).await?;
        Ok(Response::new(GetProvisioningResponse { provisioning: render::provisioning(&provisioning) }))
    }
}

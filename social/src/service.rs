//! Each call in three steps: parse, call the flow, render.

mod parse;
mod render;

use db::Id;
use mesh::access;
use proto::social::v1::{self as pb, profile_service_server::ProfileService, user_service_server::UserService};
use tonic::{Request, Response, Status};

use crate::{profiles::Profiles, users::Users};

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let told = parse::told(request.into_inner().user)?;
        let user = self.tell(told).await?;
        Ok(Response::new(pb::CreateUserResponse { user: Some(render::user(user)) }))
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Result<Response<pb::GetUserResponse>, Status> {
        let id = parse::id(&request.into_inner().user_id)?;
        let user = self.get(id).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(render::user(user)) }))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let told = parse::told(request.into_inner().user)?;
        let user = self.tell(told).await?;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(render::user(user)) }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let (id, version) = parse::deletion(&request.into_inner())?;
        self.delete(id, version).await?;
        Ok(Response::new(pb::DeleteUserResponse {}))
    }
}

#[tonic::async_trait]
impl ProfileService for Profiles {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<Response<pb::GetProfileResponse>, Status> {
        let key = parse::key(request.into_inner())?;
        let user = self.get(key).await?;
        Ok(Response::new(pb::GetProfileResponse { profile: Some(render::profile(user)) }))
    }

    async fn update_profile(
        &self,
        request: Request<pb::UpdateProfileRequest>,
    ) -> Result<Response<pb::UpdateProfileResponse>, Status> {
        let person = access::person(&request)?;
        let change = parse::change(request.get_ref())?;
        let user = self.update(Id(person.user_id), change).await?;
        Ok(Response::new(pb::UpdateProfileResponse { profile: Some(render::profile(user)) }))
    }
}

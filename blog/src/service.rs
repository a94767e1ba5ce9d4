//! Each call in three steps: parse, call the flow, render.

mod parse;
mod render;

use db::Id;
use mesh::access;
use proto::blog::v1::{self as pb, author_service_server::AuthorService, user_service_server::UserService};
use tonic::{Request, Response, Status};

use crate::{authors::Authors, users::Users};

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
impl AuthorService for Authors {
    async fn get_author(
        &self,
        request: Request<pb::GetAuthorRequest>,
    ) -> Result<Response<pb::GetAuthorResponse>, Status> {
        let key = parse::key(request.into_inner())?;
        let user = self.get(key).await?;
        Ok(Response::new(pb::GetAuthorResponse { author: Some(render::author(user)) }))
    }

    async fn update_author(
        &self,
        request: Request<pb::UpdateAuthorRequest>,
    ) -> Result<Response<pb::UpdateAuthorResponse>, Status> {
        let person = access::person(&request)?;
        let change = parse::change(request.get_ref())?;
        let user = self.update(Id(person.user_id), change).await?;
        Ok(Response::new(pb::UpdateAuthorResponse { author: Some(render::author(user)) }))
    }
}

//! Each call in three steps: parse, ask the roster, render.

use mesh::{Failure, access};
use proto::social::v1::{
    self as pb, get_profile_request::Key as PbKey, profile_service_server::ProfileService,
    user_service_server::UserService,
};
use roster::{Change, Error, Key, Range, Roster, Told, User};
use tonic::{Request, Response, Status};

/// `ErrorInfo.domain` of the reasons in `social.v1.ErrorReason`.
const DOMAIN: &str = "social.plaza";

/// What SSO calls.
pub(crate) struct Users(pub(crate) Roster);

/// What people call.
pub(crate) struct Profiles(pub(crate) Roster);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::CreateUserResponse>, Status> {
        let user = self.0.tell(told(request.into_inner().user)?).await.map_err(failure)?;
        Ok(Response::new(pb::CreateUserResponse { user: Some(render_user(user)) }))
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Result<Response<pb::GetUserResponse>, Status> {
        let user = self.0.get(Key::id(&request.into_inner().user_id)?).await.map_err(failure)?;
        Ok(Response::new(pb::GetUserResponse { user: Some(render_user(user)) }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let request = request.into_inner();
        let range = Range::read(&request.after_user_id, request.page_size)?;
        let (users, more) = self.0.list(range).await.map_err(failure)?;
        Ok(Response::new(pb::ListUsersResponse { users: users.into_iter().map(render_user).collect(), more }))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let user = self.0.tell(told(request.into_inner().user)?).await.map_err(failure)?;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(render_user(user)) }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let request = request.into_inner();
        let (id, version) = Told::deletion(&request.user_id, request.version)?;
        self.0.delete(id, version).await.map_err(failure)?;
        Ok(Response::new(pb::DeleteUserResponse {}))
    }
}

#[tonic::async_trait]
impl ProfileService for Profiles {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<Response<pb::GetProfileResponse>, Status> {
        let user = self.0.get(key(request.into_inner().key)?).await.map_err(failure)?;
        Ok(Response::new(pb::GetProfileResponse { profile: Some(render_profile(user)) }))
    }

    async fn update_profile(
        &self,
        request: Request<pb::UpdateProfileRequest>,
    ) -> Result<Response<pb::UpdateProfileResponse>, Status> {
        let person = access::person(&request)?;
        let request = request.into_inner();
        let change = Change::parse(request.display_name.as_deref(), request.about.as_deref())?;
        let user = self.0.update(person.user_id, change).await.map_err(failure)?;
        Ok(Response::new(pb::UpdateProfileResponse { profile: Some(render_profile(user)) }))
    }
}

fn told(user: Option<pb::User>) -> Result<Told, Failure> {
    let user = user.ok_or_else(Told::missing)?;
    Told::parse(&user.id, &user.username, user.account_type, user.official_tier, user.version)
}

fn key(key: Option<PbKey>) -> Result<Key, Failure> {
    match key {
        Some(PbKey::UserId(id)) => Key::id(&id),
        Some(PbKey::Username(name)) => Key::username(&name),
        None => Err(Key::missing()),
    }
}

fn render_user(user: User) -> pb::User {
    pb::User {
        id: user.id.to_string(),
        username: user.username,
        account_type: user.account_type,
        official_tier: user.official_tier,
        version: user.version,
    }
}

fn render_profile(user: User) -> pb::Profile {
    pb::Profile {
        user_id: user.id.to_string(),
        username: user.username,
        account_type: user.account_type,
        official_tier: user.official_tier,
        display_name: user.display_name,
        about: user.about,
        create_time: Some(user.created_at.into()),
    }
}

fn failure(error: Error) -> Failure {
    error.of(DOMAIN)
}

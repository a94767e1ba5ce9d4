//! sso.v1.UserService.

use std::sync::Arc;

use proto::sso::v1::{
    BatchGetUsersRequest, BatchGetUsersResponse, CreateUserRequest, CreateUserResponse, DeleteUserRequest,
    DeleteUserResponse, GetProvisioningRequest, GetProvisioningResponse, GetUserRequest, GetUserResponse,
    ListAuditEventsRequest, ListAuditEventsResponse, ListProvisioningRequest, ListProvisioningResponse,
    ListUsersRequest, ListUsersResponse, LockUserRequest, LockUserResponse, ReconcileProvisioningRequest,
    ReconcileProvisioningResponse, RetryProvisioningRequest, RetryProvisioningResponse, UnlockUserRequest,
    UnlockUserResponse, UpdateUserRequest, UpdateUserResponse, user_service_server::UserService,
};
use tonic::{Request, Response, Status};

use super::{events, operator, parse, people, render};
use crate::{audit, change, delete, operate, owed, reconcile, signup, sso::Sso};

pub(super) struct Users(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> {
        let operator = operator::name(&request);
        let done = signup::create_user(&self.0, request.into_inner().try_into()?, &operator).await?;
        Ok(Response::new(CreateUserResponse {
            user: Some(render::user(&done.user)),
            provisioning: render::provisioning(&done.provisioning),
            verification: done.verification.map(render::verification),
        }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let id = parse::id("user_id", &request.into_inner().user_id)?;
        let user = operate::get(&self.0, id).await?;
        Ok(Response::new(GetUserResponse { user: Some(render::user(&user)) }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let users = operate::batch(&self.0, people::ids(&request.into_inner().user_ids)?).await?;
        Ok(Response::new(BatchGetUsersResponse { users: users.iter().map(render::user).collect() }))
    }

    async fn get_provisioning(
        &self,
        request: Request<GetProvisioningRequest>,
    ) -> Result<Response<GetProvisioningResponse>, Status> {
        let id = parse::id("user_id", &request.into_inner().user_id)?;
        let provisioning = owed::of_user(&self.0, id).await?;
        Ok(Response::new(GetProvisioningResponse { provisioning: render::provisioning(&provisioning) }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<UpdateUserResponse>, Status> {
        let operator = operator::name(&request);
        let (user, provisioning) = change::change(&self.0, request.into_inner().try_into()?, &operator).await?;
        let provisioning = render::provisioning(&provisioning);
        Ok(Response::new(UpdateUserResponse { user: Some(render::user(&user)), provisioning }))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<DeleteUserResponse>, Status> {
        let operator = operator::name(&request);
        let ask: operator::Delete = request.into_inner().try_into()?;
        let provisioning = delete::by_operator(&self.0, ask.request_id, ask.user_id, &operator).await?;
        Ok(Response::new(DeleteUserResponse { provisioning: render::provisioning(&provisioning) }))
    }

    async fn list_provisioning(
        &self,
        request: Request<ListProvisioningRequest>,
    ) -> Result<Response<ListProvisioningResponse>, Status> {
        let ask: operator::List = request.into_inner().try_into()?;
        let (page, more) = owed::list(&self.0, ask.filter, ask.after, ask.limit).await?;
        Ok(Response::new(operator::page(ask.filter, &page, more)))
    }

    async fn reconcile_provisioning(
        &self,
        request: Request<ReconcileProvisioningRequest>,
    ) -> Result<Response<ReconcileProvisioningResponse>, Status> {
        let operator = operator::name(&request);
        let ask = reconcile::Ask { operator, ..request.into_inner().try_into()? };
        let target = ask.target;
        let done = reconcile::page(&self.0, ask).await?;
        Ok(Response::new(operator::compared(target, &done)))
    }

    async fn retry_provisioning(
        &self,
        request: Request<RetryProvisioningRequest>,
    ) -> Result<Response<RetryProvisioningResponse>, Status> {
        let operator = operator::name(&request);
        let retried = owed::retry(&self.0, request.into_inner().try_into()?, &operator).await?;
        Ok(Response::new(RetryProvisioningResponse { retried: i32::try_from(retried).unwrap_or(i32::MAX) }))
    }

    async fn lock_user(&self, request: Request<LockUserRequest>) -> Result<Response<LockUserResponse>, Status> {
        let operator = operator::name(&request);
        let LockUserRequest { request_id, user_id } = request.into_inner();
        let (request_id, user_id) = operator::locking(&request_id, &user_id)?;
        let user = operate::set_locked(&self.0, request_id, user_id, true, &operator).await?;
        tracing::warn!(operator, %user_id, "the user is locked");
        Ok(Response::new(LockUserResponse { user: Some(render::user(&user)) }))
    }

    async fn unlock_user(&self, request: Request<UnlockUserRequest>) -> Result<Response<UnlockUserResponse>, Status> {
        let operator = operator::name(&request);
        let UnlockUserRequest { request_id, user_id } = request.into_inner();
        let (request_id, user_id) = operator::locking(&request_id, &user_id)?;
        let user = operate::set_locked(&self.0, request_id, user_id, false, &operator).await?;
        tracing::warn!(operator, %user_id, "the user is unlocked");
        Ok(Response::new(UnlockUserResponse { user: Some(render::user(&user)) }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let ask: people::List = request.into_inner().try_into()?;
        let (users, more) = operate::list(&self.0, ask.filter, ask.after, ask.limit).await?;
        Ok(Response::new(people::page(ask.filter, &users, more)))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let ask: events::List = request.into_inner().try_into()?;
        let (page, more) = audit::list(&self.0, ask.filter.clone(), ask.before, ask.limit).await?;
        Ok(Response::new(events::page(&ask.filter, &page, more)))
    }
}

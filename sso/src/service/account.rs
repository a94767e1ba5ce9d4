//! sso.v1.AccountService.

use std::sync::Arc;

use mesh::{Failure, access};
use proto::sso::v1::{
    ChangePasswordRequest, ChangePasswordResponse, ChangeUsernameRequest, ChangeUsernameResponse,
    ConfirmIdentifierChangeRequest, ConfirmIdentifierChangeResponse, DeleteAccountRequest, DeleteAccountResponse,
    GetAccountRequest, GetAccountResponse, ListSessionsRequest, ListSessionsResponse, RemoveIdentifierRequest,
    RemoveIdentifierResponse, RevokeOtherSessionsRequest, RevokeOtherSessionsResponse, RevokeSessionRequest,
    RevokeSessionResponse, StartIdentifierChangeRequest, StartIdentifierChangeResponse,
    account_service_server::AccountService,
};
use tonic::{Request, Response, Status};

use super::{identifiers::confirmed, operator, parse, render};
use crate::{
    account, delete, identifiers,
    session::{self, Caller},
    sso::Sso,
};

pub(super) struct Account(pub(super) Arc<Sso>);

fn caller<T>(request: &Request<T>) -> Result<Caller, Failure> {
    Ok(Caller { person: access::person(request)?, address: access::client_address(request) })
}

#[tonic::async_trait]
impl AccountService for Account {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
        let caller = caller(&request)?;
        let user = caller.told(&self.0, account::get(&self.0, caller.person).await)?;
        Ok(Response::new(GetAccountResponse { user: Some(render::user(&user)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = caller(&request)?;
        let listed = caller.told(&self.0, session::list(&self.0, caller.person).await)?;
        let sessions = listed.into_iter().map(|one| {
            let end = self.0.sessions.end(&one);
            render::session(one, end, caller.person.session_id)
        });
        Ok(Response::new(ListSessionsResponse { sessions: sessions.collect() }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let caller = caller(&request)?;
        let id = parse::id("session_id", &request.into_inner().session_id)?;
        caller.told(&self.0, session::revoke(&self.0, caller, id).await)?;
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn revoke_other_sessions(
        &self,
        request: Request<RevokeOtherSessionsRequest>,
    ) -> Result<Response<RevokeOtherSessionsResponse>, Status> {
        let caller = caller(&request)?;
        let revoked = caller.told(&self.0, session::revoke_others(&self.0, caller).await)?;
        Ok(Response::new(RevokeOtherSessionsResponse { revoked: i32::try_from(revoked).unwrap_or(i32::MAX) }))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let caller = caller(&request)?;
        let ask: operator::DeleteOwn = request.into_inner().try_into()?;
        let deleted = delete::by_person(&self.0, caller, ask.request_id, ask.password).await;
        let provisioning = caller.told(&self.0, deleted)?;
        Ok(Response::new(DeleteAccountResponse { provisioning: render::provisioning(&provisioning) }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = caller(&request)?;
        let changed = account::change_password(&self.0, caller, request.into_inner().try_into()?).await;
        caller.told(&self.0, changed)?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn change_username(
        &self,
        request: Request<ChangeUsernameRequest>,
    ) -> Result<Response<ChangeUsernameResponse>, Status> {
        let caller = caller(&request)?;
        let (request_id, username) = parse::change_username(&request.into_inner())?;
        let changed = account::change_username(&self.0, caller, request_id, username).await;
        let (user, provisioning) = caller.told(&self.0, changed)?;
        let provisioning = render::provisioning(&provisioning);
        Ok(Response::new(ChangeUsernameResponse { user: Some(render::user(&user)), provisioning }))
    }

    async fn start_identifier_change(
        &self,
        request: Request<StartIdentifierChangeRequest>,
    ) -> Result<Response<StartIdentifierChangeResponse>, Status> {
        let caller = caller(&request)?;
        let started = identifiers::start(&self.0, caller, request.into_inner().try_into()?).await;
        let pending = caller.told(&self.0, started)?;
        Ok(Response::new(StartIdentifierChangeResponse { verification: Some(render::verification(pending)) }))
    }

    async fn confirm_identifier_change(
        &self,
        request: Request<ConfirmIdentifierChangeRequest>,
    ) -> Result<Response<ConfirmIdentifierChangeResponse>, Status> {
        let caller = caller(&request)?;
        let outcome = identifiers::confirm(&self.0, caller, request.into_inner().try_into()?).await;
        Ok(Response::new(confirmed(caller.told(&self.0, outcome)?)))
    }

    async fn remove_identifier(
        &self,
        request: Request<RemoveIdentifierRequest>,
    ) -> Result<Response<RemoveIdentifierResponse>, Status> {
        let caller = caller(&request)?;
        let removed = identifiers::remove(&self.0, caller, request.into_inner().try_into()?).await;
        let user = caller.told(&self.0, removed)?;
        Ok(Response::new(RemoveIdentifierResponse { user: Some(render::user(&user)) }))
    }
}

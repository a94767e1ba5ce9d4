//! sso.v1.AccountService.

use std::sync::Arc;

use mesh::access;
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
use crate::{account, delete, identifiers, session, sso::Sso};

pub(super) struct Account(pub(super) Arc<Sso>);

#[tonic::async_trait]
impl AccountService for Account {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let user = session::told(&self.0, person, address, account::get(&self.0, person).await)?;
        Ok(Response::new(GetAccountResponse { user: Some(render::user(&user)) }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let listed = session::told(&self.0, person, address, session::list(&self.0, person).await)?;
        let sessions = listed.into_iter().map(|one| {
            let end = self.0.sessions.end(&one);
            render::session(one, end, person.session_id)
        });
        Ok(Response::new(ListSessionsResponse { sessions: sessions.collect() }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let id = parse::id("session_id", &request.into_inner().session_id)?;
        session::told(&self.0, person, address, session::revoke(&self.0, person, id, address).await)?;
        Ok(Response::new(RevokeSessionResponse {}))
    }

    async fn revoke_other_sessions(
        &self,
        request: Request<RevokeOtherSessionsRequest>,
    ) -> Result<Response<RevokeOtherSessionsResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let revoked = session::revoke_others(&self.0, person, address).await;
        let revoked = session::told(&self.0, person, address, revoked)?;
        Ok(Response::new(RevokeOtherSessionsResponse { revoked: i32::try_from(revoked).unwrap_or(i32::MAX) }))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let ask: operator::DeleteOwn = request.into_inner().try_into()?;
        let deleted = delete::by_person(&self.0, ask.request_id, person, ask.password, address).await;
        let provisioning = session::told(&self.0, person, address, deleted)?;
        Ok(Response::new(DeleteAccountResponse { provisioning: render::provisioning(&provisioning) }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let changed = account::change_password(&self.0, person, request.into_inner().try_into()?, address).await;
        session::told(&self.0, person, address, changed)?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn change_username(
        &self,
        request: Request<ChangeUsernameRequest>,
    ) -> Result<Response<ChangeUsernameResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let (request_id, username) = parse::change_username(&request.into_inner())?;
        let changed = account::change_username(&self.0, person, request_id, username, address).await;
        let (user, provisioning) = session::told(&self.0, person, address, changed)?;
        let provisioning = render::provisioning(&provisioning);
        Ok(Response::new(ChangeUsernameResponse { user: Some(render::user(&user)), provisioning }))
    }

    async fn start_identifier_change(
        &self,
        request: Request<StartIdentifierChangeRequest>,
    ) -> Result<Response<StartIdentifierChangeResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let started = identifiers::start(&self.0, person, request.into_inner().try_into()?, address).await;
        let pending = session::told(&self.0, person, address, started)?;
        Ok(Response::new(StartIdentifierChangeResponse { verification: Some(render::verification(pending)) }))
    }

    async fn confirm_identifier_change(
        &self,
        request: Request<ConfirmIdentifierChangeRequest>,
    ) -> Result<Response<ConfirmIdentifierChangeResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let outcome = identifiers::confirm(&self.0, person, request.into_inner().try_into()?, address).await;
        Ok(Response::new(confirmed(session::told(&self.0, person, address, outcome)?)))
    }

    async fn remove_identifier(
        &self,
        request: Request<RemoveIdentifierRequest>,
    ) -> Result<Response<RemoveIdentifierResponse>, Status> {
        let (person, address) = (access::person(&request)?, access::client_address(&request));
        let removed = identifiers::remove(&self.0, person, request.into_inner().try_into()?, address).await;
        let user = session::told(&self.0, person, address, removed)?;
        Ok(Response::new(RemoveIdentifierResponse { user: Some(render::user(&user)) }))
    }
}

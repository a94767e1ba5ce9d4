//! The wire: each method parses, calls its flow, and renders what came of it.

mod account;
mod auth;
mod events;
mod identifiers;
mod operator;
mod parse;
mod people;
mod render;
mod token;
mod user;

use std::{future::Ready, sync::Arc};

use mesh::{Proxies, Router, Server, Stack, metrics::Sample, server::BuildError};
use proto::sso::v1::{
    account_service_server::AccountServiceServer, auth_service_server::AuthServiceServer,
    token_service_server::TokenServiceServer, user_service_server::UserServiceServer,
};

use crate::sso::Sso;

/// SSO's four services behind the mesh's server stack.
pub(crate) fn router(
    sso: &Arc<Sso>,
    stack: Stack,
    proxies: Proxies,
    panics: impl Fn() -> Ready<Vec<Sample>> + Send + Sync + 'static,
) -> Result<Router, BuildError> {
    let (db, counted) = (sso.db.clone(), Arc::clone(sso));
    Server::new(crate::NAME, stack)
        .behind(proxies)
        .add(AuthServiceServer::new(auth::Auth(Arc::clone(sso))))
        .add(AccountServiceServer::new(account::Account(Arc::clone(sso))))
        .add(UserServiceServer::new(user::Users(Arc::clone(sso))))
        .add(TokenServiceServer::new(token::Keys(Arc::clone(sso))))
        .check("database", move || {
            let db = db.clone();
            async move { db.reachable().await }
        })
        .samples(move || {
            let sso = Arc::clone(&counted);
            async move { crate::metrics::samples(&sso).await }
        })
        .samples(panics)
        .build()
}

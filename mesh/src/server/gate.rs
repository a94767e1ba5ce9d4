//! Access: who is calling, and whether the method's policy lets them.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use proto::MethodPolicy;

use crate::{
    access::{Caller, ClientAddress, Known},
    failure::Failure,
    policy::Access,
    seldom::Seldom,
    token::{Claims, Kind, TokenError, Verifier},
    wire,
};

/// Stands before the routes of one service.
pub(super) struct Gate {
    service: &'static str,
    verifier: Arc<Verifier>,
    /// The lines about certificates that are missing, or another's.
    refusals: Seldom,
}

impl Gate {
    pub(super) fn new(service: &'static str, verifier: Arc<Verifier>) -> Self {
        Self { service, verifier, refusals: Seldom::default() }
    }

    /// The caller, if the policy lets it in.
    ///
    /// # Errors
    /// UNAUTHENTICATED `TOKEN_INVALID` if a token that the method wants is missing or does not hold; UNAVAILABLE `UNREACHABLE` if that cannot be
    /// told, since nobody could be asked for its key; PERMISSION_DENIED `ACCESS_DENIED` if the caller is nobody, or known and not named by the policy.
    pub(super) async fn caller(
        &self,
        policy: &MethodPolicy,
        headers: &HeaderMap,
        known: Option<&Known>,
        from: Option<ClientAddress>,
    ) -> Result<Caller, Failure> {
        match policy.access {
            Access::Public => Ok(self.anyone(headers, known).await),
            Access::Bearer => self.person(headers).await,
            Access::Peer => self.peer(policy, headers, known).inspect_err(|_| self.tell(policy.path, known, from)),
            Access::Operator => self.operator(headers).await,
            Access::Unspecified => Err(Failure::access_denied()),
        }
    }

    /// Whether another service calls.
    pub(super) fn is_peer(&self, headers: &HeaderMap, known: Option<&Known>) -> bool {
        match known {
            Some(known) => matches!(known, Known::Peer(_)),
            None => matches!(self.named_peer(headers, known), Ok(Some(_))),
        }
    }

    /// Nothing is wanted here, so a token that does not hold is no reason to refuse: it may just have expired on a caller
    /// that is about to refresh it.
    async fn anyone(&self, headers: &HeaderMap, known: Option<&Known>) -> Caller {
        if let Some(Ok(token)) = bearer(headers)
            && let Some(caller) = self.verifier.verify_fresh(token).await.ok().and_then(|claims| of_token(&claims))
        {
            return caller;
        }
        self.named_peer(headers, known).ok().flatten().unwrap_or(Caller::Anyone)
    }

    async fn person(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let token = bearer(headers).ok_or_else(|| Failure::token_invalid("an access token is wanted"))??;
        let claims = self.verifier.verify_fresh(token).await.map_err(refused)?;
        match claims.kind {
            Kind::Access => of_token(&claims).ok_or_else(|| refused(TokenError::Claims)),
            Kind::Peer | Kind::Operator => Err(refused(TokenError::Kind)),
        }
    }

    async fn operator(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let token = bearer(headers).ok_or_else(Failure::access_denied)??;
        let claims = self.verifier.verify_fresh(token).await.map_err(refused)?;
        match of_token(&claims) {
            Some(caller @ Caller::Operator(_)) => Ok(caller),
            _ => Err(Failure::access_denied()),
        }
    }

    fn peer(&self, policy: &MethodPolicy, headers: &HeaderMap, known: Option<&Known>) -> Result<Caller, Failure> {
        match self.named_peer(headers, known).map_err(refused)? {
            Some(Caller::Peer(name)) if policy.callers.contains(&name.as_str()) => Ok(Caller::Peer(name)),
            _ => Err(Failure::access_denied()),
        }
    }

    /// Says who was refused for want of a certificate that the policy names. A token that does not do says so itself.
    fn tell(&self, method: &str, known: Option<&Known>, from: Option<ClientAddress>) {
        let presented = match known {
            Some(Known::Peer(name)) => name,
            Some(Known::Nobody) => "no certificate",
            None => return,
        };
        if let Some(left_out) = self.refusals.may() {
            let from = from.map(|ClientAddress(address)| tracing::field::display(address));
            tracing::warn!(method, presented, from, left_out, "a caller was refused");
        }
    }

    /// The service that calls: known by construction in memory and by its certificate over TLS, where no token makes it another; by its token in
    /// plain text.
    fn named_peer(&self, headers: &HeaderMap, known: Option<&Known>) -> Result<Option<Caller>, TokenError> {
        match known {
            Some(Known::Peer(name)) => return Ok(Some(Caller::Peer(name.to_string()))),
            Some(Known::Nobody) => return Ok(None),
            None => {}
        }
        let Some(value) = headers.get(&wire::PEER) else { return Ok(None) };
        let token = value.to_str().map_err(|_| TokenError::Malformed)?;
        let claims = self.verifier.verify_peer(token, self.service)?;
        Ok(Some(Caller::Peer(claims.subject.clone())))
    }
}

/// The token of `authorization: Bearer …` (RFC 6750; the scheme in any case). Two headers are none to trust.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Failure>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    let token = match (values.next(), value.to_str()) {
        (None, Ok(text)) => text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")),
        _ => None,
    };
    Some(token.map(|(_, token)| token.trim_start()).ok_or_else(|| refused(TokenError::Malformed)))
}

fn of_token(claims: &Claims) -> Option<Caller> {
    match claims.kind {
        Kind::Access => Some(Caller::Person { user_id: claims.user_id()?, session_id: claims.session? }),
        Kind::Operator => Some(Caller::Operator(claims.subject.clone())),
        Kind::Peer => None,
    }
}

/// Which check failed is for the log alone: it would tell a forger how far they got.
fn refused(error: TokenError) -> Failure {
    tracing::debug!(%error, "a token was refused");
    if error == TokenError::Unreachable {
        return Failure::unreachable("nobody could be asked for the key of the token");
    }
    Failure::token_invalid("the token does not hold")
}

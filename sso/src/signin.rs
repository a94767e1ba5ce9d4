//! Flow 3: a person signs in. Tokens if verified; otherwise a verification, and no message.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    error::Error, identifier::Identifier, model::Outcome, otp::Pending, password::Password, sso::Sso, store,
    tokens::AccessToken,
};

/// Who wants to sign in.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) request_id: Uuid,
    pub(crate) identifier: Identifier,
    pub(crate) password: Password,
}

/// What came of a sign-in.
pub(crate) enum SignedIn {
    Tokens(AccessToken),
    Unverified(Pending),
}

/// Signs a person in. An unknown identifier takes the road, and the time, of a wrong password.
///
/// # Errors
/// [`Error::CredentialsInvalid`], [`Error::RequestIdReused`], overload.
pub(crate) async fn sign_in(sso: &Arc<Sso>, ask: SignIn) -> Result<SignedIn, Error> {
    let identifier = ask.identifier.clone();
    let found = sso.db.read("sign_in", move |c| Ok::<_, Error>(store::users::by_identifier(c, &identifier)?)).await?;
    let stored = found.as_ref().and_then(|(_, hash)| hash.clone());
    let right = sso.hasher.check(&ask.password, stored.clone()).await?;
    let Some((user_id, Some(hash))) = found.filter(|_| right) else { return Err(Error::CredentialsInvalid) };
    if sso.hasher.is_outdated(&hash) {
        rehash(sso, user_id, hash, ask.password.clone());
    }
    let outcome = commit(sso, &ask, user_id).await?;
    Ok(match (outcome.session_id, outcome.verification_id) {
        (Some(session_id), _) => SignedIn::Tokens(sso.issuer.issue(user_id, session_id)),
        (None, Some(id)) => SignedIn::Unverified(Pending::unsent(sso, id, &ask.identifier)),
        (None, None) => return Err(Error::RequestIdReused),
    })
}

/// Opens a session, or a verification for a user who is not verified.
async fn commit(sso: &Sso, ask: &SignIn, user_id: Uuid) -> Result<Outcome, Error> {
    let digest = ask.digest(&sso.digest_key);
    let (request_id, identifier, now) = (ask.request_id, ask.identifier.clone(), sso.clock.now());
    let (session_id, verification_id) = (sso.id(), sso.opaque_id());
    sso.db
        .write("sign_in", move |c| {
            let user = store::users::find(c, user_id)?.ok_or(Error::CredentialsInvalid)?;
            let claim = user.identifiers.iter().find(|claim| claim.identifier == identifier);
            let claim = claim.ok_or(Error::CredentialsInvalid)?;
            let outcome = if user.is_verified && claim.is_verified {
                Outcome { user_id, verification_id: None, session_id: Some(session_id) }
            } else {
                Outcome { user_id, verification_id: Some(verification_id), session_id: None }
            };
            if let Some(first) = store::requests::claim(c, request_id, &digest, &outcome, now)? {
                return Ok(first);
            }
            if outcome.verification_id.is_some() {
                store::verifications::insert(c, verification_id, user_id, claim.id, now)?;
            }
            Ok(outcome)
        })
        .await
}

/// Hashes the password at today's cost, in a task of its own: it only helps the next sign-in.
fn rehash(sso: &Arc<Sso>, user_id: Uuid, old: String, password: Password) {
    let sso = Arc::clone(sso);
    tokio::spawn(async move {
        let Ok(fresh) = sso.hasher.hash(&password).await else { return };
        let kept =
            sso.db.write("rehash", move |c| Ok::<_, Error>(store::users::rehash(c, user_id, &old, &fresh)?)).await;
        if let Err(error) = kept {
            tracing::info!(%error, "a password keeps its old hash");
        }
    });
}

impl SignIn {
    fn digest(&self, key: &[u8; 32]) -> [u8; 32] {
        crate::digest::keyed(key, &[b"sign_in", self.identifier.value().as_bytes(), self.password.bytes()])
    }
}

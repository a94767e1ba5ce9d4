//! The one place where a token is believed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    Claims, Keyring, Kind, MESH_ISSUER,
    cache::{Cache, Verified},
    format::Envelope,
    revoked::Revoked,
};
use crate::clock::Clock;

/// How far the clock of an issuer may run ahead of ours, for `nbf` and `iat`. There is none for `exp`.
const LEEWAY: Duration = Duration::from_secs(10);

/// Why a token was refused. For logs; a caller is told TOKEN_INVALID and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`super::MAX_TOKEN`].
    #[error("the token is too long")]
    TooLong,
    /// Not a v4.public token.
    #[error("not a v4.public token")]
    Malformed,
    /// The footer is too long, or is not a `kid` and nothing else.
    #[error("the footer is not a key id")]
    Footer,
    /// Nobody knows the key, or it has ended.
    #[error("the key is unknown")]
    UnknownKey,
    /// The key is not known here, and who would know it could not be asked: the token may hold.
    #[error("nobody could be asked for the key")]
    Unreachable,
    /// The signature does not hold, or was made for another deployment.
    #[error("the signature does not hold")]
    Signature,
    /// A claim is missing, double, unknown or of the wrong form.
    #[error("a claim is missing or malformed")]
    Claims,
    /// The key may not sign this kind of token.
    #[error("the key may not sign this kind of token")]
    Kind,
    /// `iss` is not the issuer of this kind of token.
    #[error("the issuer is wrong")]
    Issuer,
    /// `aud` is somebody else.
    #[error("the audience is wrong")]
    Audience,
    /// `nbf` or `iat` is in the future by more than the leeway.
    #[error("the token is not valid yet")]
    NotYet,
    /// `exp` has come.
    #[error("the token has expired")]
    Expired,
    /// The session of the token has ended.
    #[error("the session has ended")]
    Revoked,
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What every token asserts.
    pub deployment: &'a str,
    /// `aud` of access and operator tokens.
    pub audience: &'a str,
    /// `iss` of access tokens. Tokens of peers and operators are issued by [`MESH_ISSUER`].
    pub issuer: &'a str,
}

/// Believes tokens of one deployment. Share it in an [`Arc`]: it remembers what it has checked (8,192 tokens at most) and which sessions have ended
/// (100,000 at most).
#[derive(Debug)]
pub struct Verifier {
    keyring: Keyring,
    deployment: String,
    audience: String,
    issuer: String,
    clock: Clock,
    cache: Cache,
    revoked: Revoked,
}

impl Verifier {
    /// Believes what a key of `keyring` has signed and says what is `expected`.
    pub fn new(keyring: Keyring, expected: Expected<'_>, clock: Clock) -> Self {
        let Expected { deployment, audience, issuer } = expected;
        let (deployment, audience, issuer) = (deployment.to_owned(), audience.to_owned(), issuer.to_owned());
        let (cache, revoked) = (Cache::default(), Revoked::default());
        Self { keyring, deployment, audience, issuer, clock, cache, revoked }
    }

    /// The keys that are believed.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Refuses the access tokens of `session` from now on, all of which are dead by `until`. If there are too many such sessions to remember, tokens of
    /// others that end soon are refused with theirs.
    pub fn revoke(&self, session: Uuid, until: SystemTime) {
        self.revoked.insert(session, until, self.clock.now());
    }

    /// The claims of an access or operator token.
    ///
    /// # Errors
    /// Whatever [`TokenError`] names; a peer token is of the wrong kind here.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        let claims = self.checked(token)?;
        match claims.kind {
            Kind::Access => self.expect(&claims, &self.issuer, &self.audience)?,
            Kind::Operator => self.expect(&claims, MESH_ISSUER, &self.audience)?,
            Kind::Peer => return Err(TokenError::Kind),
        }
        Ok(claims)
    }

    /// The claims of a peer token that was made for `callee`.
    ///
    /// # Errors
    /// Whatever [`TokenError`] names; any other kind of token is of the wrong kind here.
    pub fn verify_peer(&self, token: &str, callee: &str) -> Result<Arc<Claims>, TokenError> {
        let claims = self.checked(token)?;
        if claims.kind != Kind::Peer {
            return Err(TokenError::Kind);
        }
        self.expect(&claims, MESH_ISSUER, callee)?;
        Ok(claims)
    }

    /// As [`Verifier::verify`], and asks the keyring's refresher once if the key is unknown.
    ///
    /// # Errors
    /// As [`Verifier::verify`], and [`TokenError::Unreachable`].
    pub async fn verify_fresh(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        match self.verify(token) {
            Err(TokenError::UnknownKey) => {
                let kid = Envelope::open(token)?.kid;
                self.keyring.refresh_for(&kid).await?;
                self.verify(token)
            }
            verdict => verdict,
        }
    }

    /// Signature, form, key and time: all but issuer and audience.
    fn checked(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        let verified = self.verified(token)?;
        let now = self.clock.now();
        // Asked for each time, so that a key that is taken away takes its remembered tokens with it.
        let key = self.keyring.get(&verified.kid).ok_or(TokenError::UnknownKey)?;
        if key.not_after.is_some_and(|end| now >= end) {
            return Err(TokenError::UnknownKey);
        }
        let claims = &verified.claims;
        if !key.kinds.contains(&claims.kind) {
            return Err(TokenError::Kind);
        }
        if claims.not_before > now + LEEWAY || claims.issued_at > now + LEEWAY {
            return Err(TokenError::NotYet);
        }
        if claims.expires_at <= now {
            return Err(TokenError::Expired);
        }
        // Like the key, never remembered with the signature.
        if claims.session.is_some_and(|session| self.revoked.covers(session, claims.expires_at)) {
            return Err(TokenError::Revoked);
        }
        Ok(Arc::clone(claims))
    }

    fn verified(&self, token: &str) -> Result<Arc<Verified>, TokenError> {
        if token.len() > super::MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let digest = Cache::digest(token);
        if let Some(verified) = self.cache.get(&digest) {
            return Ok(verified);
        }
        let envelope = Envelope::open(token)?;
        let key = self.keyring.get(&envelope.kid).ok_or(TokenError::UnknownKey)?;
        let payload = envelope.verify(key.key.key(), self.deployment.as_bytes())?;
        let claims = Claims::from_json(&payload).ok_or(TokenError::Claims)?;
        let verified = Arc::new(Verified { kid: envelope.kid, claims: Arc::new(claims) });
        self.cache.put(digest, Arc::clone(&verified), self.clock.now());
        Ok(verified)
    }

    fn expect(&self, claims: &Claims, issuer: &str, audience: &str) -> Result<(), TokenError> {
        if claims.issuer != issuer {
            return Err(TokenError::Issuer);
        }
        if claims.audience != audience {
            return Err(TokenError::Audience);
        }
        Ok(())
    }
}

//! The key that signs access tokens, and the tokens.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use db::Db;
use mesh::{
    Clock, Random,
    token::{Claims, Keyring, Kind, PublicKey, Signer, VerifyingKey},
    uuid_v7,
};
use pasetors::{
    Local,
    keys::SymmetricKey,
    token::UntrustedToken,
    version4::{LocalToken, V4},
};
use uuid::Uuid;

use crate::{config, digest::MasterKey, error::Error, store};

/// What a sealed secret is for: bound to it as the implicit assertion.
const PURPOSE: &[u8] = b"plaza signing key";

/// Issues access tokens.
pub(crate) struct Issuer {
    signer: Signer,
    clock: Clock,
    random: Random,
    settings: config::Tokens,
}

/// An access token and its end.
#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) text: String,
    pub(crate) expires_at: SystemTime,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The database.
    #[error("the signing key cannot be read: {0}")]
    Store(String),
    /// The stored key was sealed under another master key, or altered.
    #[error("the signing key in the database does not open under this master key")]
    Sealed,
}

impl Issuer {
    /// Reads the signing key, or makes the first one, and tells `keyring` of it.
    pub(crate) async fn open(
        db: &Db,
        master: &MasterKey,
        keyring: &Keyring,
        clock: Clock,
        random: Random,
        settings: config::Tokens,
    ) -> Result<Self, KeyError> {
        let sealing =
            SymmetricKey::<V4>::from(&master.derive("plaza/sso/signing-keys")).map_err(|_| KeyError::Sealed)?;
        let fresh = Signer::generate(&random, &settings.deployment);
        let sealed = seal(&sealing, &fresh).ok_or(KeyError::Sealed)?;
        let (id, now) = (fresh.public().kid().to_owned(), clock.now());
        let stored = db
            .write("signing_key", move |c| {
                if let Some(sealed) = store::keys::oldest(c)? {
                    return Ok::<_, Error>(sealed);
                }
                store::keys::insert(c, &id, &sealed, now)?;
                Ok(sealed.clone())
            })
            .await
            .map_err(|error| KeyError::Store(error.to_string()))?;
        let signer = unseal(&sealing, &stored, &settings.deployment).ok_or(KeyError::Sealed)?;
        let key = VerifyingKey { key: signer.public().clone(), kinds: vec![Kind::Access], not_after: None };
        keyring.replace(Kind::Access, vec![key]);
        Ok(Self { signer, clock, random, settings })
    }

    /// An access token for a user, in a session that ends at `last` at the latest.
    pub(crate) fn issue(&self, user_id: Uuid, session_id: Uuid, last: SystemTime) -> AccessToken {
        let now = self.clock.now();
        let expires_at = last.min(now + Duration::from_secs(self.settings.access_seconds));
        let claims = Claims {
            kind: Kind::Access,
            issuer: self.settings.issuer.clone(),
            audience: self.settings.audience.clone(),
            subject: user_id.to_string(),
            session: Some(session_id),
            id: uuid_v7(&self.clock, &self.random),
            issued_at: now,
            not_before: now,
            expires_at,
        };
        AccessToken { text: self.signer.sign(&claims), expires_at }
    }

    /// The keys that verify what this issues.
    pub(crate) fn public_keys(&self) -> Vec<PublicKey> {
        vec![self.signer.public().clone()]
    }
}

/// The secret half as a PASETO v4.local token under the sealing key: authenticated encryption with a nonce of its own.
fn seal(key: &SymmetricKey<V4>, signer: &Signer) -> Option<String> {
    let seed = STANDARD_NO_PAD.encode(signer.to_bytes());
    LocalToken::encrypt(key, seed.as_bytes(), None, Some(PURPOSE)).ok()
}

fn unseal(key: &SymmetricKey<V4>, sealed: &str, deployment: &str) -> Option<Signer> {
    let token = UntrustedToken::<Local, V4>::try_from(sealed).ok()?;
    let opened = LocalToken::decrypt(key, &token, None, Some(PURPOSE)).ok()?;
    let seed = STANDARD_NO_PAD.decode(opened.payload()).ok()?;
    Some(Signer::from_bytes(seed.try_into().ok()?, deployment))
}

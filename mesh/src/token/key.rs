//! Ed25519 keys and their PASERK texts (github.com/paseto-standard/paserk).

use std::fmt;

use ed25519_compact::{KeyPair, Seed};
use pasetors::{
    keys::{AsymmetricPublicKey, AsymmetricSecretKey},
    paserk::{FormatAsPaserk as _, Id},
    version4::V4,
};

use super::{Claims, format};
use crate::clock::Random;

/// Bytes or a text that are no key.
#[derive(Debug, thiserror::Error)]
#[error("not a version 4 key")]
pub struct KeyError;

/// The key that verifies a [`Signer`]'s tokens.
#[derive(Clone)]
pub struct PublicKey {
    key: AsymmetricPublicKey<V4>,
    kid: String,
}

impl PublicKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// If there are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        AsymmetricPublicKey::from(bytes).map(Self::of).map_err(|_| KeyError)
    }

    /// A key from its PASERK text, `k4.public.…`.
    ///
    /// # Errors
    /// If the text is not that.
    pub fn from_paserk(text: &str) -> Result<Self, KeyError> {
        AsymmetricPublicKey::<V4>::try_from(text).map(Self::of).map_err(|_| KeyError)
    }

    fn of(key: AsymmetricPublicKey<V4>) -> Self {
        let mut kid = String::new();
        // Writing to a string cannot fail.
        let _ = Id::from(&key).fmt(&mut kid);
        Self { key, kid }
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The PASERK text, `k4.public.…`.
    pub fn paserk(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.key.fmt(&mut text);
        text
    }

    /// The PASERK id, `k4.pid.…`: derived from the key, so it cannot be claimed by another.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn key(&self) -> &AsymmetricPublicKey<V4> {
        &self.key
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kid)
    }
}

/// A secret key and the deployment it signs for. Prints its key id alone.
#[derive(Clone)]
pub struct Signer {
    seed: [u8; 32],
    secret: AsymmetricSecretKey<V4>,
    public: PublicKey,
    deployment: String,
}

impl Signer {
    /// A new key.
    pub fn generate(random: &Random, deployment: &str) -> Self {
        Self::from_bytes(random.bytes(), deployment)
    }

    /// The key of a 32-byte seed, as [`Signer::to_bytes`] gives it.
    pub fn from_bytes(seed: [u8; 32], deployment: &str) -> Self {
        let pair = KeyPair::from_seed(Seed::new(seed));
        let secret = AsymmetricSecretKey::from(pair.sk.as_ref()).expect("a pair derived from a seed is consistent");
        let public = AsymmetricPublicKey::from(pair.pk.as_ref()).expect("an Ed25519 public key has 32 bytes");
        Self { seed, secret, public: PublicKey::of(public), deployment: deployment.to_owned() }
    }

    /// The seed. Store it encrypted.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.seed
    }

    /// The key that verifies what this signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The token that claims `claims`: about 400 to 600 bytes.
    pub fn sign(&self, claims: &Claims) -> String {
        format::seal(&self.secret, self.public.kid(), &claims.to_json(), self.deployment.as_bytes())
    }

    #[cfg(test)]
    pub(crate) fn secret(&self) -> &AsymmetricSecretKey<V4> {
        &self.secret
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

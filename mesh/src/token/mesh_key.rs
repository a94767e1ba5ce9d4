//! The secret that the services of one deployment share while they speak plain text on loopback.

use std::{fmt, io, path::Path};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Keyring, Kind, Signer, VerifyingKey};
use crate::{clock::Random, keyfile};

/// 32 secret bytes from which the signers of peer and operator tokens are derived. Prints masked.
#[derive(Clone)]
pub struct MeshKey {
    secret: [u8; 32],
    deployment: String,
}

impl MeshKey {
    /// A key from its bytes.
    pub fn new(secret: [u8; 32], deployment: &str) -> Self {
        Self { secret, deployment: deployment.to_owned() }
    }

    /// The key in the file at `path`: see [`keyfile::load_or_create`].
    ///
    /// # Errors
    /// As there.
    pub fn load_or_create(path: &Path, deployment: &str, random: &Random) -> io::Result<Self> {
        Ok(Self::new(keyfile::load_or_create(path, random)?, deployment))
    }

    /// The signer of one kind of token: HMAC-SHA-256 of the kind's label under this key is its seed.
    pub fn signer(&self, kind: Kind) -> Signer {
        let label: &[u8] = match kind {
            Kind::Access => b"plaza/v1/access",
            Kind::Peer => b"plaza/v1/peer",
            Kind::Operator => b"plaza/v1/operator",
        };
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        Signer::from_bytes(mac.chain_update(label).finalize().into_bytes().into(), &self.deployment)
    }

    /// A keyring that believes the peers and operators of this deployment. Access keys come from SSO.
    pub fn keyring(&self) -> Keyring {
        let keyring = Keyring::new();
        for kind in [Kind::Peer, Kind::Operator] {
            let key = self.signer(kind).public().clone();
            keyring.insert(VerifyingKey { key, kinds: vec![kind], not_after: None });
        }
        keyring
    }

    /// The name of the deployment, which every token asserts.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshKey").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

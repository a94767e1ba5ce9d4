//! The secret that the services of one deployment share while they speak plain text on loopback.

use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Keyring, Kind, Signer, VerifyingKey};
use crate::clock::Random;

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

    /// The key in the file at `path`, which is made, readable by its owner alone, if it is not there. The folder must exist.
    ///
    /// # Errors
    /// If the file cannot be read or made, has not exactly 32 bytes, or may be read by others than its owner.
    pub fn load_or_create(path: &Path, deployment: &str, random: &Random) -> io::Result<Self> {
        match create(path, random) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            return Err(refusal(path, "may be read by others than its owner (chmod 600 it)"));
        }
        let bytes = fs::read(path)?;
        let secret = bytes.try_into().map_err(|_| refusal(path, "does not hold 32 bytes"))?;
        Ok(Self::new(secret, deployment))
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

/// Writes a new key aside and links it into place, so that nobody ever reads half of one and two starts agree on one.
fn create(path: &Path, random: &Random) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let aside = path.with_extension(format!("new-{:016x}", u64::from_le_bytes(random.bytes())));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked = file.write_all(&random.bytes::<32>()).and_then(|()| file.sync_all()).and_then(|()| {
        // Unlike a rename, a link never replaces a key that another start has just made.
        fs::hard_link(&aside, path)
    });
    fs::remove_file(&aside)?;
    linked
}

fn refusal(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshKey").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

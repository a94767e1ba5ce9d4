//! Keyed digests and the keys they take, all derived from the one master key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 32 bytes that everything secret at rest is derived from or sealed under. Prints nothing of itself.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// A master key of random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key for one use: HMAC-SHA-256 of its label, so that no use learns another's key.
    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        keyed(&self.0, &[label.as_bytes()])
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(•••)")
    }
}

/// HMAC-SHA-256 over the parts, each with its length before it, so that no two lists of parts are one text.
pub(crate) fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::{MasterKey, keyed};

    #[test]
    fn parts_do_not_run_together() {
        let key = MasterKey::new([1; 32]).derive("test");
        assert_ne!(keyed(&key, &[b"ab", b"c"]), keyed(&key, &[b"a", b"bc"]));
        assert_ne!(keyed(&key, &[b"ab"]), keyed(&key, &[b"ab", b""]));
    }

    #[test]
    fn uses_have_keys_of_their_own() {
        let master = MasterKey::new([1; 32]);
        assert_ne!(master.derive("pepper"), master.derive("digest"));
    }
}

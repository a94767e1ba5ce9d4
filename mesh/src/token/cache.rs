//! Signatures that were already checked, so that a caller's token is verified once and not once a call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::Claims;

/// The most tokens remembered: some 4 MB.
const CAPACITY: usize = 8192;

/// A token whose signature held: what it claims, and the key that must still be trusted.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) kid: String,
    pub(super) claims: Claims,
}

pub(super) type TokenDigest = [u8; SHA256_OUTPUT_LEN];

/// By digest, never by token: a memory image must not hold bearer tokens.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<TokenDigest, Arc<Verified>>>);

impl Cache {
    /// SHA-256, by ring: on processors without instructions for it, its assembly takes two thirds of what sha2 takes, and this is most of what a token costs.
    pub(super) fn digest(token: &str) -> TokenDigest {
        let digest = digest(&SHA256, token.as_bytes());
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Arc<Verified>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Remembers. When full, forgets what has expired, and if that was nothing, everything: the cost is one more check each.
    pub(super) fn put(&self, digest: TokenDigest, verified: Arc<Verified>, now: SystemTime) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| entry.claims.expires_at > now);
            if entries.len() >= CAPACITY {
                entries.clear();
            }
        }
        entries.insert(digest, verified);
    }
}

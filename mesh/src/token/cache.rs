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
    pub(super) claims: Arc<Claims>,
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

    /// Remembers. When full, forgets what has expired, and if that was less than a quarter, everything: the cost is one more check each, and
    /// all are looked through at most once for each quarter that comes.
    pub(super) fn put(&self, digest: TokenDigest, verified: Arc<Verified>, now: SystemTime) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| entry.claims.expires_at > now);
            if entries.len() > CAPACITY / 4 * 3 {
                entries.clear();
            }
        }
        entries.insert(digest, verified);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{testing::Keys, token::Kind};

    /// A full cache, in which the first `expired` tokens have; and how many it remembers once another comes.
    fn remembered(expired: usize) -> usize {
        let (cache, claims) = (Cache::default(), Keys::new().claims(Kind::Access));
        let now = claims.expires_at;
        for n in 0..=CAPACITY {
            let expires_at = if n < expired { now } else { now + Duration::from_secs(1) };
            let verified = Verified { kid: String::new(), claims: Arc::new(Claims { expires_at, ..claims.clone() }) };
            cache.put(Cache::digest(&n.to_string()), Arc::new(verified), now);
        }
        cache.0.into_inner().expect("whole").len()
    }

    #[test]
    fn what_has_expired_makes_room_and_if_it_is_little_everything_does() {
        assert_eq!(remembered(CAPACITY), 1);
        assert_eq!(remembered(CAPACITY / 2), CAPACITY / 2 + 1);
        assert_eq!(remembered(CAPACITY / 4), CAPACITY * 3 / 4 + 1);
        for few in [0, 1, CAPACITY / 4 - 1] {
            assert_eq!(remembered(few), 1, "or the next ones would look through all of them again");
        }
    }
}

//! How a caller says which service it is.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::HeaderValue;

use crate::{
    clock::{Clock, Random, uuid_v7},
    token::{Claims, Kind, MESH_ISSUER, Signer},
};

/// How long a peer token lasts.
const LIFE: Duration = Duration::from_secs(60);
/// How long before its end a new one takes its place, so that none expires on its way.
const RENEW: Duration = Duration::from_secs(20);

/// A service that calls others.
#[derive(Debug, Clone)]
pub struct PeerIdentity {
    name: &'static str,
    signer: Option<Signer>,
    clock: Clock,
    random: Random,
}

impl PeerIdentity {
    /// The service `name` (`sso`), which signs with `signer`: [`crate::token::MeshKey::signer`] of [`Kind::Peer`]. Without one it is a peer by its
    /// certificate alone.
    pub fn new(name: &'static str, signer: impl Into<Option<Signer>>, clock: Clock, random: Random) -> Self {
        Self { name, signer: signer.into(), clock, random }
    }

    fn token(&self, signer: &Signer, callee: &str, now: SystemTime) -> String {
        signer.sign(&Claims {
            kind: Kind::Peer,
            issuer: MESH_ISSUER.to_owned(),
            audience: callee.to_owned(),
            subject: self.name.to_owned(),
            session: None,
            id: uuid_v7(&self.clock, &self.random),
            issued_at: now,
            not_before: now,
            expires_at: now + LIFE,
        })
    }
}

/// Makes the tokens for one callee, one every 40 s.
pub(super) struct Minter {
    identity: PeerIdentity,
    callee: &'static str,
    current: Mutex<Option<(HeaderValue, SystemTime)>>,
}

impl Minter {
    pub(super) fn new(identity: PeerIdentity, callee: &'static str) -> Self {
        Self { identity, callee, current: Mutex::new(None) }
    }

    /// `None` for a service that signs nothing.
    pub(super) fn token(&self) -> Option<HeaderValue> {
        let signer = self.identity.signer.as_ref()?;
        let now = self.identity.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match current.as_ref() {
            // A clock that was set back makes the token too young to be believed.
            Some((token, made)) if now.duration_since(*made).is_ok_and(|age| age < LIFE - RENEW) => token.clone(),
            _ => {
                let text = self.identity.token(signer, self.callee, now);
                let mut token = HeaderValue::try_from(text).expect("letters, digits, dots, dashes and underscores");
                token.set_sensitive(true);
                *current = Some((token.clone(), now));
                token
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Keys;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_until_it_is_renewed_and_always_holds() {
        let keys = Keys::new();
        let verifier = keys.verifier();
        let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock.clone(), Random::seeded(1));
        let minter = Minter::new(identity, "echo");
        let first = minter.token().expect("it signs");
        for second in 0..100 {
            let token = minter.token().expect("it signs");
            assert_eq!(token == first, second < 40, "{second} s");
            let claims = verifier.verify_peer(token.to_str().expect("ascii"), "echo").expect("holds");
            assert_eq!(claims.subject, "sso");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(first.is_sensitive(), "kept out of header compression and Debug");
    }
}

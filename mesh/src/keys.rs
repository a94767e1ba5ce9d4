//! SSO's public keys, kept at hand: access tokens are verified where they arrive, and no call waits for SSO.

use std::time::Duration;

use proto::sso::v1::{self as pb, token_service_client::TokenServiceClient};
use tonic::Status;

use crate::{
    channel::Channel,
    shutdown::Shutdown,
    token::{Keyring, Kind, PublicKey, VerifyingKey},
};

/// How soon to ask again after SSO did not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The keyring, which from now on asks SSO for a key that it does not know.
pub fn follow(keyring: Keyring, sso: Channel) -> Keyring {
    keyring.with_refresh(Kind::Access, move || {
        let sso = sso.clone();
        async move { fetch(sso).await.ok() }
    })
}

/// Brings the keys up to date at once and then `every` so often, so that a key SSO took away is forgotten; until `shutdown`.
pub async fn keep_fresh(keyring: Keyring, sso: Channel, every: Duration, shutdown: Shutdown) {
    loop {
        let Some(fetched) = shutdown.unless_begun(fetch(sso.clone())).await else { return };
        let pause = match fetched {
            Ok(keys) => {
                keyring.replace(Kind::Access, keys);
                every
            }
            Err(status) => {
                tracing::warn!(code = ?status.code(), reason = status.message(), "SSO gave no public keys; those known stay");
                RETRY_PAUSE.min(every)
            }
        };
        if shutdown.unless_begun(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn fetch(sso: Channel) -> Result<Vec<VerifyingKey>, Status> {
    let answer = TokenServiceClient::new(sso).list_public_keys(pb::ListPublicKeysRequest {}).await?;
    Ok(answer.into_inner().public_keys.into_iter().filter_map(key).collect())
}

/// A key that is none, or whose end is no time, is left out: what it signs is refused.
fn key(key: pb::PublicKey) -> Option<VerifyingKey> {
    let parsed = PublicKey::from_paserk(&key.key).ok().filter(|parsed| parsed.kid() == key.key_id);
    let not_after = key.expire_time.map(std::time::SystemTime::try_from).transpose().ok();
    let (Some(parsed), Some(not_after)) = (parsed, not_after) else {
        tracing::error!(kid = key.key_id, "SSO gave a public key that cannot be used");
        return None;
    };
    Some(VerifyingKey { key: parsed, kinds: vec![Kind::Access], not_after })
}

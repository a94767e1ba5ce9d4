//! SSO's revocations, followed: the access tokens of a session that has ended are refused here too, within a moment. While SSO cannot be reached they
//! live on, until they expire by themselves.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use proto::sso::v1::{Revocation, WatchRevocationsRequest, token_service_client::TokenServiceClient};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    backoff::{Backoff, Growth},
    channel::Channel,
    shutdown::Shutdown,
    token::Verifier,
};

/// How soon to ask again. A stream that ended in order is begun anew after the first pause, which a revocation may have to wait for.
const PAUSES: Growth = Growth { first: Duration::from_millis(100), factor: 1.6, longest: Duration::from_secs(5) };

/// Tells `verifier` of every session that SSO ends, until `shutdown`. A stream that was lost is taken up where it broke off, at whichever replica of SSO
/// answers.
pub async fn follow(verifier: Arc<Verifier>, sso: Channel, shutdown: Shutdown) {
    shutdown.unless_begun(follow_on(&verifier, &sso, &shutdown)).await;
}

async fn follow_on(verifier: &Verifier, sso: &Channel, shutdown: &Shutdown) {
    let (mut pauses, mut cursor, mut lost) = (Backoff::new(PAUSES), String::new(), false);
    loop {
        match listen(verifier, sso, &mut cursor).await {
            Ok(()) => {
                pauses.reset();
                lost = false;
            }
            // That a stream ends with the process itself is nothing to warn of.
            Err(_) if shutdown.is_begun() => return,
            Err(status) => {
                if !std::mem::replace(&mut lost, true) {
                    tracing::warn!(code = ?status.code(), reason = status.message(), "revocations do not come; access tokens of sessions that end now work until they expire");
                }
                // Of another version of SSO, perhaps.
                if status.code() == Code::InvalidArgument {
                    cursor.clear();
                }
            }
        }
        tokio::time::sleep(pauses.next(sso.random())).await;
    }
}

/// One stream, until it ends.
async fn listen(verifier: &Verifier, sso: &Channel, cursor: &mut String) -> Result<(), Status> {
    let request = WatchRevocationsRequest { cursor: cursor.clone() };
    let mut stream = TokenServiceClient::new(sso.clone()).watch_revocations(request).await?.into_inner();
    while let Some(news) = stream.message().await? {
        for Revocation { session_id, expire_time } in news.revocations {
            let until = expire_time.and_then(|time| SystemTime::try_from(time).ok());
            match Uuid::try_parse(&session_id).ok().zip(until) {
                Some((session, until)) => verifier.revoke(session, until),
                None => tracing::error!(session_id, "SSO gave a revocation that cannot be used"),
            }
        }
        // Not before they are known here: whatever is lost meanwhile comes again.
        *cursor = news.cursor;
    }
    Ok(())
}

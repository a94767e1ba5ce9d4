//! What the flows share: one value, made at start.

use std::{sync::Arc, time::Duration};

use db::{Conn, Db};
use mesh::{Clock, Random, Shutdown, token::Verifier, uuid_v7};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    audit::Audit, config, error::Error, hashing::Hasher, notices::Notices, peers::Peers, provision::Provisioner,
    session, store::requests::Request, tokens::Issuer,
};

/// How long a verification can be used, and how long a request id is remembered (design: 24 h each).
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// SSO, ready to serve.
pub(crate) struct Sso {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) hasher: Hasher,
    pub(crate) issuer: Issuer,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) peers: Peers,
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) digest_key: [u8; 32],
    pub(crate) refresh_key: [u8; 32],
    pub(crate) sessions: session::Limits,
    pub(crate) throttle_key: [u8; 32],
    pub(crate) throttle: config::Throttle,
    /// Whether a code signs in.
    pub(crate) code_sign_in: bool,
    pub(crate) audit: Audit,
    /// How long what was decided is kept.
    pub(crate) audit_kept: Duration,
    /// Told of after each write whose purpose is to end sessions.
    pub(crate) ended: watch::Sender<()>,
    pub(crate) shutdown: Shutdown,
}

impl Sso {
    /// A fresh id that sorts by time.
    pub(crate) fn id(&self) -> Uuid {
        uuid_v7(&self.clock, &self.random)
    }

    /// What is asked for under a request id: the name of the flow, and all that a repeat has the same.
    pub(crate) fn request(&self, id: Uuid, parts: &[&[u8]]) -> Request {
        Request::new(&self.digest_key, id, parts)
    }

    /// A write whose purpose is to end sessions: whoever watches for revocations looks at once. Those that end by the way, they find by themselves.
    pub(crate) async fn ending<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl FnMut(&mut Conn) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.db.write(name, f).await;
        self.ended.send_replace(());
        done
    }

    /// A fresh id that tells nothing, for what is handed out as a capability.
    pub(crate) fn opaque_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random.bytes()).into_uuid()
    }
}

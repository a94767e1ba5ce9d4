//! The keys that tokens may be signed with, and what each may sign.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::{sync::Mutex, time::Instant};

use super::{Kind, PublicKey, TokenError};

/// How long to leave the refresher alone after it was asked, whatever it answered.
const REFRESH_PAUSE: Duration = Duration::from_secs(3);

/// A key with what it may be used for.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    /// The key.
    pub key: PublicKey,
    /// The kinds of token it may sign; any other signed with it is refused.
    pub kinds: Vec<Kind>,
    /// Tokens signed with it are refused from this time on; `None` for a key that does not end.
    pub not_after: Option<SystemTime>,
}

type Refreshing = Pin<Box<dyn Future<Output = Option<Vec<VerifyingKey>>> + Send>>;

struct Refresher {
    kind: Kind,
    fetch: Box<dyn Fn() -> Refreshing + Send + Sync>,
    /// When it was asked last, and what a key is that is not here since.
    asked: Arc<Mutex<Option<(Instant, TokenError)>>>,
}

/// The keys by their id. Clones share them.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Arc<RwLock<HashMap<String, VerifyingKey>>>,
    refresher: Option<Arc<Refresher>>,
}

impl Keyring {
    /// A keyring without keys: it refuses every token.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same keys, and a way to get newer ones of `kind` when a token names a key that is not here. It is asked for by one
    /// caller at a time and at most every 3 s; `None`, that it could not tell, leaves the keys as they are.
    pub fn with_refresh<F, R>(self, kind: Kind, fetch: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Option<Vec<VerifyingKey>>> + Send + 'static,
    {
        let fetch = Box::new(move || -> Refreshing { Box::pin(fetch()) });
        Self { refresher: Some(Arc::new(Refresher { kind, fetch, asked: Arc::default() })), ..self }
    }

    /// Adds a key, or takes its place.
    pub fn insert(&self, key: VerifyingKey) {
        self.write().insert(key.key.kid().to_owned(), key);
    }

    /// Puts `keys` in the place of all that may sign `kind`.
    pub fn replace(&self, kind: Kind, keys: Vec<VerifyingKey>) {
        let mut all = self.write();
        all.retain(|_, key| !key.kinds.contains(&kind));
        all.extend(keys.into_iter().map(|key| (key.key.kid().to_owned(), key)));
    }

    /// The key of this id.
    pub fn get(&self, kid: &str) -> Option<VerifyingKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// Whether there is any key that may sign `kind`.
    pub fn has(&self, kind: Kind) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().any(|key| key.kinds.contains(&kind))
    }

    /// Asks the refresher for a key, unless it was asked a moment ago: then what it said still holds.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if the refresher does not know it either, [`TokenError::Unreachable`] if it could not tell.
    pub(super) async fn refresh_for(&self, kid: &str) -> Result<(), TokenError> {
        let Some(refresher) = &self.refresher else { return Err(TokenError::UnknownKey) };
        let mut asked = Arc::clone(&refresher.asked).lock_owned().await;
        // Somebody may have fetched it while this call waited for the lock.
        if self.get(kid).is_some() {
            return Ok(());
        }
        let now = Instant::now();
        if let Some((_, missing)) = asked.filter(|(at, _)| now - *at < REFRESH_PAUSE) {
            return Err(missing);
        }
        *asked = Some((now, TokenError::Unreachable));
        let (keyring, fetched, kind) = (self.clone(), (refresher.fetch)(), refresher.kind);
        // A task of its own: whoever asked may give up at once, and with the answer would go that of all who come within the pause.
        let fetching = tokio::spawn(async move {
            match fetched.await {
                Some(keys) => {
                    keyring.replace(kind, keys);
                    *asked = Some((now, TokenError::UnknownKey));
                }
                None => tracing::warn!(?kind, "newer keys could not be fetched"),
            }
            asked.map(|(_, missing)| missing)
        });
        let missing = fetching.await.ok().flatten().unwrap_or(TokenError::Unreachable);
        self.get(kid).map(drop).ok_or(missing)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, VerifyingKey>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(keys.keys()).finish()
    }
}

//! The keys that sign access tokens, and the tokens.
//!
//! A key is published an hour before it signs, signs for a week, and verifies until the last token it signed is dead. Each replica looks at the keys every 30 s;
//! whichever finds the next one missing makes it.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use db::Db;
use mesh::{
    Clock, Random, Shutdown,
    token::{Claims, Keyring, Kind, PublicKey, Signer, VerifyingKey},
    uuid_v7,
};
use pasetors::{
    Local,
    keys::SymmetricKey,
    token::UntrustedToken,
    version4::{LocalToken, V4},
};
use tokio::time;
use uuid::Uuid;

use crate::{
    audit::{Audit, Event, Kind as Decided, Reason},
    config,
    digest::MasterKey,
    error::Error,
    model::Outcome,
    store::{self, requests::Request},
};

/// What a sealed secret is for: bound to it as the implicit assertion.
const PURPOSE: &[u8] = b"plaza signing key";

/// How long a key signs.
const SIGNS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a key is published before it signs: every verifier has asked for the keys by then.
const PUBLISHED: Duration = Duration::from_secs(3600);
/// How often the keys in the database are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How long a replica may go on signing with a key that has a successor which it has not seen yet.
const SLACK: Duration = Duration::from_secs(60);

/// Issues access tokens. Clones share the keys.
#[derive(Clone)]
pub(crate) struct Issuer {
    db: Db,
    sealing: [u8; 32],
    keys: Arc<RwLock<Vec<Key>>>,
    keyring: Keyring,
    audit: Audit,
    clock: Clock,
    random: Random,
    settings: config::Tokens,
}

/// A key, and from when on it signs.
#[derive(Clone)]
struct Key {
    signer: Signer,
    active_at: SystemTime,
}

/// An access token and its end.
pub(crate) struct AccessToken {
    pub(crate) text: String,
    pub(crate) expires_at: SystemTime,
}

impl Issuer {
    /// Reads the signing keys, or makes the first one, and tells `keyring` of them. A database that is away by now is waited for, as when it was opened.
    ///
    /// # Errors
    /// [`Error::KeySealed`].
    pub(crate) async fn open(
        db: &Db,
        master: &MasterKey,
        keyring: &Keyring,
        audit: Audit,
        clock: Clock,
        random: Random,
        settings: config::Tokens,
    ) -> Result<Self, Error> {
        let sealing = master.derive("plaza/sso/signing-keys");
        let (db, keyring, keys) = (db.clone(), keyring.clone(), Arc::default());
        let issuer = Self { db, sealing, keys, keyring, audit, clock, random, settings };
        let made = || issuer.rotate(Rotation::IfDue);
        issuer.db.at_the_start(made, Error::is_away).await?;
        issuer.db.at_the_start(|| issuer.load(), Error::is_away).await?;
        Ok(issuer)
    }

    /// Keeps the keys fresh until `shutdown`: makes the next one in time, takes away the dead ones, and sees what other replicas made.
    pub(crate) async fn work(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = time::sleep(LOOK) => {}
                () = shutdown.begun() => return,
            }
            let kept = async {
                if self.is_due() {
                    self.rotate(Rotation::IfDue).await?;
                }
                self.load().await
            };
            if let Err(error) = kept.await {
                tracing::error!(%error, "the signing keys stay as they are");
            }
        }
    }

    /// Makes a key that signs from now on. With `end_others` every other key ends at once, and with it all access tokens.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`].
    pub(crate) async fn rotate_now(&self, request_id: Uuid, end_others: bool, operator: &str) -> Result<(), Error> {
        self.rotate(Rotation::Now { request_id, end_others, operator: operator.to_owned() }).await?;
        self.load().await.map(drop)
    }

    /// The keys of the database, in use from now on.
    pub(crate) async fn load(&self) -> Result<Vec<VerifyingKey>, Error> {
        let rows = self.db.read("signing_keys", |c| Ok::<_, Error>(store::keys::all(c)?)).await?;
        let sealing = self.sealing()?;
        let mut keys = Vec::new();
        for (sealed, active_at) in rows {
            let signer = unseal(&sealing, &sealed, &self.settings.deployment).ok_or(Error::KeySealed)?;
            keys.push(Key { signer, active_at });
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        let verifying: Vec<_> = self.verifying().into_iter().rev().collect();
        self.keyring.replace(Kind::Access, verifying.clone());
        Ok(verifying)
    }

    async fn rotate(&self, rotation: Rotation) -> Result<(), Error> {
        let fresh = Signer::generate(&self.random, &self.settings.deployment);
        let sealed = seal(&self.sealing()?, &fresh).ok_or(Error::KeySealed)?;
        let (id, now, key, audit) =
            (fresh.public().kid().to_owned(), self.clock.now(), self.sealing, self.audit.clone());
        // A key is dead once the last token it can have signed is.
        let dead = now - self.life() - SLACK;
        let made = self.db.write("rotate_key", move |c| {
            store::keys::lock(c)?;
            let all = store::keys::all(c)?;
            let (active_at, until) = match &rotation {
                Rotation::IfDue => match all.last() {
                    None => (now, UNIX_EPOCH),
                    Some((_, last)) if is_due(*last, now) => {
                        // All before the last one that signed at that time already had a successor.
                        let successor = all.iter().rev().find(|(_, active_at)| *active_at <= dead);
                        (now + PUBLISHED, successor.map_or(UNIX_EPOCH, |(_, active_at)| *active_at))
                    }
                    Some(_) => return Ok(()),
                },
                Rotation::Now { request_id, end_others, .. } => {
                    let request = Request::new(&key, *request_id, &[b"rotate_key", &[u8::from(*end_others)]]);
                    let outcome = Outcome { user_id: Uuid::nil(), verification_id: None, session_id: None };
                    if request.claim(c, &outcome, now)?.is_some() {
                        return Ok(());
                    }
                    (now, if *end_others { now + SIGNS } else { UNIX_EPOCH })
                }
            };
            store::keys::insert(c, &id, &sealed, active_at, now)?;
            store::keys::remove(c, until, &id)?;
            audit.record(c, rotation.event())
        });
        made.await
    }

    fn sealing(&self) -> Result<SymmetricKey<V4>, Error> {
        SymmetricKey::<V4>::from(&self.sealing).map_err(|_| Error::KeySealed)
    }

    fn life(&self) -> Duration {
        Duration::from_secs(self.settings.access_seconds)
    }

    fn is_due(&self) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.last().is_none_or(|last| is_due(last.active_at, self.clock.now()))
    }

    /// The keys that verify what this issues, oldest first, each with its end if it has a successor.
    fn verifying(&self) -> Vec<VerifyingKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let ends = keys.iter().skip(1).map(|next| Some(next.active_at + self.life() + SLACK)).chain([None]);
        let key = |(key, not_after): (&Key, _)| VerifyingKey {
            key: key.signer.public().clone(),
            kinds: vec![Kind::Access],
            not_after,
        };
        keys.iter().zip(ends).map(key).collect()
    }

    /// An access token for a user, in a session that ends at `last` at the latest.
    pub(crate) fn issue(&self, user_id: Uuid, session_id: Uuid, last: SystemTime) -> AccessToken {
        let now = self.clock.now();
        let expires_at = last.min(now + Duration::from_secs(self.settings.access_seconds));
        let claims = Claims {
            kind: Kind::Access,
            issuer: self.settings.issuer.clone(),
            audience: self.settings.audience.clone(),
            subject: user_id.to_string(),
            session: Some(session_id),
            id: uuid_v7(&self.clock, &self.random),
            issued_at: now,
            not_before: now,
            expires_at,
        };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let active = keys.iter().rev().find(|key| key.active_at <= now).or(keys.first());
        // There is a key from the start, and none is taken away without a successor.
        let text = active.map(|key| key.signer.sign(&claims)).unwrap_or_default();
        AccessToken { text, expires_at }
    }

    /// The keys that verify what this issues, newest first, and when they end.
    pub(crate) fn public_keys(&self) -> Vec<(PublicKey, Option<SystemTime>)> {
        self.verifying().into_iter().rev().map(|key| (key.key, key.not_after)).collect()
    }
}

/// Why a key is made.
#[derive(Debug, Clone)]
enum Rotation {
    /// The last one has signed for long enough, or there is none.
    IfDue,
    /// Somebody wants it.
    Now { request_id: Uuid, end_others: bool, operator: String },
}

impl Rotation {
    fn event(&self) -> Event {
        let rotated = Event::new(Decided::KeyRotated);
        match self {
            Self::IfDue => rotated.because(Reason::Scheduled),
            Self::Now { end_others: true, operator, .. } => rotated.because(Reason::OthersEnded).by(operator),
            Self::Now { operator, .. } => rotated.by(operator),
        }
    }
}

/// Whether it is time to publish a successor of a key that signs from `active_at` on.
fn is_due(active_at: SystemTime, now: SystemTime) -> bool {
    active_at + SIGNS - PUBLISHED <= now
}

/// The secret half as a PASETO v4.local token under the sealing key: authenticated encryption with a nonce of its own.
fn seal(key: &SymmetricKey<V4>, signer: &Signer) -> Option<String> {
    let seed = STANDARD_NO_PAD.encode(signer.to_bytes());
    LocalToken::encrypt(key, seed.as_bytes(), None, Some(PURPOSE)).ok()
}

fn unseal(key: &SymmetricKey<V4>, sealed: &str, deployment: &str) -> Option<Signer> {
    let token = UntrustedToken::<Local, V4>::try_from(sealed).ok()?;
    let opened = LocalToken::decrypt(key, &token, None, Some(PURPOSE)).ok()?;
    let seed = STANDARD_NO_PAD.decode(opened.payload()).ok()?;
    Some(Signer::from_bytes(seed.try_into().ok()?, deployment))
}

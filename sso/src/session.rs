//! Sessions: how they begin, what they are worth, how they are listed and ended.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use db::Conn;
use mesh::Person;
use uuid::Uuid;

use crate::{
    audit::{Audit, Event, Kind, Reason},
    config,
    error::Error,
    origin::Origin,
    refresh::RefreshToken,
    sso::Sso,
    store,
    tokens::AccessToken,
};

/// A sign-in that lasts.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// `sid` of its access tokens.
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    /// That of the newest refresh token; the first is 1.
    pub(crate) generation: i64,
    pub(crate) device_label: String,
    pub(crate) network: String,
    pub(crate) created_at: SystemTime,
    pub(crate) refreshed_at: SystemTime,
}

/// What a person shows to be known by every service, and to be given more of the same.
pub(crate) struct Tokens {
    pub(crate) access: AccessToken,
    pub(crate) refresh: String,
    pub(crate) refresh_expires_at: SystemTime,
}

/// How long sessions last, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    pub(crate) grace: Duration,
    pub(crate) per_user: u32,
    /// The life of an access token.
    pub(crate) access: Duration,
}

/// How long a token may be issued after the session was last seen alive, by a replica that is slow, or whose clock is ahead.
const SLACK: Duration = Duration::from_secs(60);

/// That sessions end before their tokens do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) at: SystemTime,
    /// When the last of their access tokens is dead by itself.
    pub(crate) until: SystemTime,
}

impl Limits {
    /// From the settings, which are within their bounds.
    pub(crate) fn new(settings: &config::Sessions, tokens: &config::Tokens) -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self {
            idle: days(settings.idle_days),
            absolute: days(settings.absolute_days),
            grace: Duration::from_secs(settings.grace_seconds),
            per_user: settings.per_user,
            access: Duration::from_secs(tokens.access_seconds),
        }
    }

    /// What is to be remembered of sessions that somebody or something ends now.
    pub(crate) fn ending(&self, now: SystemTime) -> Ending {
        Ending { at: now, until: now + self.access + SLACK }
    }

    /// When a session ends unless it is refreshed before.
    pub(crate) fn end(&self, session: &Session) -> SystemTime {
        (session.refreshed_at + self.idle).min(session.created_at + self.absolute)
    }
}

/// Who makes a call in a session, and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) person: Person,
    pub(crate) address: Option<IpAddr>,
}

impl Caller {
    /// What is decided about the caller.
    pub(crate) fn event(self, kind: Kind) -> Event {
        Event::new(kind).of(self.person.user_id).session(self.person.session_id).from(self.address)
    }

    /// What the call came to. That the session of its token has ended is counted.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) fn told<T>(self, sso: &Sso, called: Result<T, Error>) -> Result<T, Error> {
        called.inspect_err(|error| {
            if matches!(error, Error::SessionEnded) {
                sso.audit.count(self.event(Kind::TokenRefused).because(Reason::SessionOver));
            }
        })
    }
}

impl Session {
    /// A session that begins now.
    pub(crate) fn begin(id: Uuid, user_id: Uuid, origin: &Origin, now: SystemTime) -> Self {
        let (device_label, network) = (origin.device_label.clone(), origin.network());
        Self { id, user_id, generation: 1, device_label, network, created_at: now, refreshed_at: now }
    }
}

/// Keeps a session that begins, and drops what was idle the longest if the user has too many then.
///
/// # Errors
/// [`Error::CredentialsInvalid`] if the user was locked meanwhile.
pub(crate) fn open(c: &mut Conn, session: &Session, limits: &Limits, audit: &Audit) -> Result<(), Error> {
    let ending = limits.ending(session.created_at);
    if store::sessions::trim(c, session.user_id, i64::from(limits.per_user) - 1, ending)? > 0 {
        audit.record(c, Event::new(Kind::SessionEnded).because(Reason::TooMany).of(session.user_id))?;
    }
    // Whoever locks the user ends the sessions that are there; none may begin after.
    if store::users::is_locked(c, session.user_id)? {
        return Err(Error::CredentialsInvalid);
    }
    store::sessions::insert(c, session)?;
    Ok(())
}

/// The newest tokens of a session, made anew. An access token does not outlive its session's longest life.
pub(crate) fn tokens(sso: &Sso, session: &Session) -> Tokens {
    let last = session.created_at + sso.sessions.absolute;
    let token = RefreshToken { session_id: session.id, generation: session.generation };
    Tokens {
        access: sso.issuer.issue(session.user_id, session.id, last),
        refresh: token.text(&sso.refresh_key),
        refresh_expires_at: sso.sessions.end(session),
    }
}

/// A session that has not ended.
///
/// # Errors
/// [`Error::SessionEnded`].
pub(crate) fn alive(c: &mut Conn, id: Uuid, limits: &Limits, now: SystemTime) -> Result<Session, Error> {
    store::sessions::find(c, id)?.filter(|session| limits.end(session) > now).ok_or(Error::SessionEnded)
}

/// That the caller's session has not ended: SSO asks, and needs not wait for the access token to expire.
///
/// # Errors
/// [`Error::SessionEnded`].
pub(crate) fn require(c: &mut Conn, person: Person, limits: &Limits, now: SystemTime) -> Result<Session, Error> {
    alive(c, person.session_id, limits, now).and_then(|session| {
        let is_theirs = session.user_id == person.user_id;
        is_theirs.then_some(session).ok_or(Error::SessionEnded)
    })
}

/// Ends the session of a refresh token. What is no token has none.
pub(crate) async fn sign_out(sso: &Arc<Sso>, token: &str, address: Option<IpAddr>) -> Result<(), Error> {
    let Some(RefreshToken { session_id, .. }) = RefreshToken::open(&sso.refresh_key, token) else { return Ok(()) };
    let (ending, audit) = (sso.sessions.ending(sso.clock.now()), sso.audit.clone());
    sso.ending("sign_out", move |c| {
        let Some(session) = store::sessions::lock(c, session_id)? else { return Ok(()) };
        store::sessions::end(c, session.user_id, session.id, ending)?;
        audit.record(c, Event::new(Kind::SignedOut).of(session.user_id).session(session.id).from(address))?;
        Ok(())
    })
    .await
}

/// The caller's sessions that have not ended, the one used last first.
pub(crate) async fn list(sso: &Arc<Sso>, person: Person) -> Result<Vec<Session>, Error> {
    let (limits, now) = (sso.sessions, sso.clock.now());
    sso.db
        .read("list_sessions", move |c| {
            require(c, person, &limits, now)?;
            let mut sessions = store::sessions::of_user(c, person.user_id)?;
            sessions.retain(|session| limits.end(session) > now);
            Ok(sessions)
        })
        .await
}

/// Ends one of the caller's sessions. That it is none of theirs is not told to them, but counted.
pub(crate) async fn revoke(sso: &Arc<Sso>, caller: Caller, id: Uuid) -> Result<(), Error> {
    let (limits, now, audit, person) = (sso.sessions, sso.clock.now(), sso.audit.clone(), caller.person);
    let event = caller.event(Kind::SessionEnded).because(Reason::ByOwner).session(id);
    let revoked = sso.ending("revoke_session", move |c| {
        require(c, person, &limits, now)?;
        let ended = store::sessions::end(c, person.user_id, id, limits.ending(now))?;
        if ended > 0 {
            audit.record(c, event.clone())?;
        }
        Ok(ended)
    });
    if revoked.await? == 0 {
        sso.audit.count(caller.event(Kind::RevocationRefused).because(Reason::SessionUnknown));
    }
    Ok(())
}

/// Ends all of the caller's sessions but the one that asks, and says how many that were.
pub(crate) async fn revoke_others(sso: &Arc<Sso>, caller: Caller) -> Result<usize, Error> {
    let (limits, now, audit, person) = (sso.sessions, sso.clock.now(), sso.audit.clone(), caller.person);
    let event = Event::new(Kind::SessionEnded).because(Reason::ByOwner).of(person.user_id).from(caller.address);
    sso.ending("revoke_other_sessions", move |c| {
        require(c, person, &limits, now)?;
        let ended = store::sessions::end_all(c, person.user_id, Some(person.session_id), limits.ending(now))?;
        if ended > 0 {
            audit.record(c, event.clone())?;
        }
        Ok(ended)
    })
    .await
}

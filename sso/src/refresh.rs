//! Refresh tokens: each is used once, and its successor is derived, not drawn.
//!
//! A token names its session and its generation, and proves both by an HMAC under a key of SSO's own. So nothing that opens a session is ever
//! stored; a forged token is refused without a look at the database; a repeat within the grace gets the very successor that the first use
//! got, from whichever replica and after any restart; and a token that is too old is known for what it is, however old.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use db::Conn;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    audit::{Event, Kind, Reason},
    digest::keyed,
    error::Error,
    session::{self, Limits, Session, Tokens},
    sso::Sso,
    store,
};

/// The first byte of a token: which form the rest has.
const FORM: u8 = 1;
/// Form, session, generation, and 256 bits of proof.
const LENGTH: usize = 1 + 16 + 8 + 32;

/// A token that SSO made, of whatever age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) session_id: Uuid,
    pub(crate) generation: i64,
}

impl RefreshToken {
    /// Reads a token; `None` for what SSO never made.
    pub(crate) fn open(key: &[u8; 32], text: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let session_id = Uuid::from_slice(&bytes[1..17]).ok()?;
        let generation = i64::from_be_bytes(bytes[17..25].try_into().ok()?);
        let token = Self { session_id, generation };
        let is_ours = bool::from(token.bytes(key).as_slice().ct_eq(&bytes));
        is_ours.then_some(token)
    }

    /// The token as it is handed out.
    pub(crate) fn text(self, key: &[u8; 32]) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes(key))
    }

    fn bytes(self, key: &[u8; 32]) -> [u8; LENGTH] {
        let (session, generation) = (self.session_id.into_bytes(), self.generation.to_be_bytes());
        let mut bytes = [FORM; LENGTH];
        bytes[1..17].copy_from_slice(&session);
        bytes[17..25].copy_from_slice(&generation);
        bytes[25..].copy_from_slice(&keyed(key, &[&[FORM], &session, &generation]));
        bytes
    }
}

/// What came of a refresh.
#[derive(Debug)]
enum Rotated {
    /// The session as it is now, in the generation of the successor.
    To(Session),
    /// The token was used long ago: somebody has a copy. The session has ended.
    Reused(Session),
    /// The session has ended, or the token is not of its past.
    Refused(Reason, Option<Uuid>),
}

/// The successor of a refresh token, and an access token.
///
/// # Errors
/// [`Error::SessionEnded`].
pub(crate) async fn refresh(sso: &Arc<Sso>, text: &str, address: Option<IpAddr>) -> Result<Tokens, Error> {
    let refused = Event::new(Kind::RefreshRefused).from(address);
    let Some(token) = RefreshToken::open(&sso.refresh_key, text) else {
        sso.audit.count(refused.because(Reason::TokenUnknown));
        return Err(Error::SessionEnded);
    };
    let (limits, now, audit) = (sso.sessions, sso.clock.now(), sso.audit.clone());
    let rotated = sso.db.write("refresh", move |c| {
        let rotated = rotate(c, token, &limits, now)?;
        if let Rotated::Reused(session) = &rotated {
            let ended = Event::new(Kind::SessionEnded).because(Reason::TokenReused);
            audit.record(c, ended.of(session.user_id).session(session.id).from(address))?;
        }
        Ok::<_, Error>(rotated)
    });
    match rotated.await? {
        Rotated::To(session) => Ok(session::tokens(sso, &session)),
        Rotated::Reused(session) => {
            tracing::warn!(user_id = %session.user_id, session_id = %session.id, "an old refresh token turned up: the session has ended");
            Err(Error::SessionEnded)
        }
        Rotated::Refused(reason, user_id) => {
            sso.audit.count(refused.because(reason).of(user_id).session(token.session_id));
            Err(Error::SessionEnded)
        }
    }
}

/// The newest token gets a new successor; the one before it, within the grace, the same again; an older one ends the session.
fn rotate(c: &mut Conn, token: RefreshToken, limits: &Limits, now: SystemTime) -> Result<Rotated, Error> {
    let refused = |reason, user_id| Ok(Rotated::Refused(reason, user_id));
    let Some(mut session) = store::sessions::lock(c, token.session_id)? else {
        return refused(Reason::SessionOver, None);
    };
    if limits.end(&session) <= now {
        return refused(Reason::SessionOver, Some(session.user_id));
    }
    // A database restored from a backup is behind its tokens: whoever holds one signs in again, and loses nothing else.
    if token.generation > session.generation {
        return refused(Reason::TokenAhead, Some(session.user_id));
    }
    if token.generation == session.generation {
        if store::sessions::advance(c, session.id, token.generation, now)? == 0 {
            return refused(Reason::SessionOver, Some(session.user_id));
        }
        session.generation += 1;
        session.refreshed_at = now;
        return Ok(Rotated::To(session));
    }
    let since = now.duration_since(session.refreshed_at).unwrap_or(Duration::ZERO);
    if token.generation + 1 == session.generation && since < limits.grace {
        return Ok(Rotated::To(session));
    }
    store::sessions::end(c, session.user_id, session.id, limits.ending(now))?;
    Ok(Rotated::Reused(session))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{LENGTH, RefreshToken};

    const KEY: [u8; 32] = [9; 32];

    #[test]
    fn a_token_says_what_it_is_and_no_other_does() {
        let token = RefreshToken { session_id: Uuid::from_u128(7), generation: 41 };
        let text = token.text(&KEY);
        assert_eq!(text, token.text(&KEY), "a successor is derived");
        assert_eq!(RefreshToken::open(&KEY, &text), Some(token));
        assert_eq!(RefreshToken::open(&[8; 32], &text), None);
        assert_ne!(text, RefreshToken { generation: 42, ..token }.text(&KEY));
    }

    #[test]
    fn no_bit_of_a_token_may_change() {
        let token = RefreshToken { session_id: Uuid::from_u128(7), generation: 41 };
        let text = token.text(&KEY).into_bytes();
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(RefreshToken::open(&KEY, std::str::from_utf8(&other).unwrap()), None, "{at}");
        }
        for text in ["", "AQ", &"A".repeat(LENGTH * 2), "ünïcode", &format!("{}=", token.text(&KEY))] {
            assert_eq!(RefreshToken::open(&KEY, text), None, "{text}");
        }
    }
}

//! What a token claims.

use std::time::SystemTime;

use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a token is for: claim `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person's, issued by SSO. `sub` is the user's id, and a session is named.
    Access,
    /// A service's, for one call target: `sub` is the caller's name, `aud` the callee's.
    Peer,
    /// An operator's. `sub` is the operator's name.
    Operator,
}

/// The claims of a token; all are required, but for the session, which an access token has and no other does. Times are
/// kept to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `typ`.
    pub kind: Kind,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `sub`.
    pub subject: String,
    /// `sid`.
    pub session: Option<Uuid>,
    /// `jti`.
    pub id: Uuid,
    /// `iat`.
    pub issued_at: SystemTime,
    /// `nbf`.
    pub not_before: SystemTime,
    /// `exp`.
    pub expires_at: SystemTime,
}

/// The claims as they are written. A claim that is missing, double or unknown is refused by serde.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    typ: Kind,
    iss: String,
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    jti: String,
    iat: String,
    nbf: String,
    exp: String,
}

impl Claims {
    pub(super) fn to_json(&self) -> String {
        let payload = Payload {
            typ: self.kind,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: self.subject.clone(),
            sid: self.session.map(|id| id.to_string()),
            jti: self.id.to_string(),
            iat: seconds(self.issued_at),
            nbf: seconds(self.not_before),
            exp: seconds(self.expires_at),
        };
        serde_json::to_string(&payload).expect("a struct of strings serialises")
    }

    pub(super) fn from_json(text: &str) -> Option<Self> {
        let payload: Payload = serde_json::from_str(text).ok()?;
        let session = payload.sid.map(|id| Uuid::try_parse(&id)).transpose().ok()?;
        let claims = Self {
            kind: payload.typ,
            issuer: payload.iss,
            audience: payload.aud,
            subject: payload.sub,
            session,
            id: Uuid::try_parse(&payload.jti).ok()?,
            issued_at: time(&payload.iat)?,
            not_before: time(&payload.nbf)?,
            expires_at: time(&payload.exp)?,
        };
        claims.is_whole().then_some(claims)
    }

    /// The user an access token is about.
    pub fn user_id(&self) -> Option<Uuid> {
        Uuid::try_parse(&self.subject).ok()
    }

    fn is_whole(&self) -> bool {
        match self.kind {
            Kind::Access => self.session.is_some() && self.user_id().is_some(),
            Kind::Peer | Kind::Operator => self.session.is_none() && !self.subject.is_empty(),
        }
    }
}

fn seconds(time: SystemTime) -> String {
    Timestamp { nanos: 0, ..Timestamp::from(time) }.to_string()
}

/// RFC 3339 with a time and an offset, as PASETO wants its registered claims.
fn time(text: &str) -> Option<SystemTime> {
    let is_date_time = text.as_bytes().get(10).is_some_and(|separator| separator.eq_ignore_ascii_case(&b'T'));
    let has_offset = text.ends_with(['Z', 'z']) || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    if !is_date_time || !has_offset {
        return None;
    }
    SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok()
}

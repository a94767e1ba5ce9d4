//! Why SSO refuses, and how it says so: every error of a flow takes this one road to the caller.

use std::time::Duration;

use mesh::failure::Failure;
use proto::sso::v1::ErrorReason;
use tonic::Code;

/// `ErrorInfo.domain` of SSO's reasons.
const DOMAIN: &str = "sso.plaza";

/// What ends a flow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another user has the username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has verified the identifier.
    #[error("the identifier is taken")]
    IdentifierTaken,
    /// No user has this identifier with this password.
    #[error("no user has this identifier with this password")]
    CredentialsInvalid,
    /// Unknown, over, or somebody else's.
    #[error("there is no such verification, or it is over")]
    VerificationNotFound,
    /// The session has ended, or never was.
    #[error("the session has ended")]
    SessionEnded,
    /// It takes the password, or a sign-in of a moment ago.
    #[error("the sign-in was too long ago: give the password")]
    NotFresh,
    /// No other identifier is verified.
    #[error("nobody could sign in without this identifier")]
    LastIdentifier,
    /// No user has this id.
    #[error("there is no such user")]
    UserNotFound,
    /// The request id came with another request before.
    #[error("the request id was used before, with another request")]
    RequestIdReused,
    /// The user has changed since it was read.
    #[error("the user has changed since its etag was read")]
    EtagMismatch,
    /// The settings let nobody sign in by a code.
    #[error("signing in by a code is switched off")]
    CodeSignInOff,
    /// Too much was asked for, of SMS or here, for a time.
    #[error("{reason:?}")]
    Limited {
        /// Which limit.
        reason: ErrorReason,
        /// When to come back, if that helps.
        retry_after: Option<Duration>,
    },
    /// The stored signing key was sealed under another master key, or altered.
    #[error("the signing key in the database does not open under this master key")]
    KeySealed,
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] db::Error),
    /// It has its form already: from the mesh, or from a peer.
    #[error("{0:?}")]
    Failure(Failure),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    /// Whether it is the database that cannot be reached.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_away())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |code, reason: ErrorReason| Self::new(code, DOMAIN, reason.as_str_name(), message);
        match error {
            Error::UsernameTaken => refuse(Code::AlreadyExists, ErrorReason::UsernameTaken),
            Error::IdentifierTaken => refuse(Code::AlreadyExists, ErrorReason::IdentifierTaken),
            Error::CredentialsInvalid => refuse(Code::Unauthenticated, ErrorReason::CredentialsInvalid),
            Error::SessionEnded => refuse(Code::Unauthenticated, ErrorReason::SessionEnded),
            Error::VerificationNotFound => refuse(Code::NotFound, ErrorReason::VerificationNotFound),
            Error::NotFresh => refuse(Code::Unauthenticated, ErrorReason::ReauthenticationRequired),
            Error::LastIdentifier => refuse(Code::FailedPrecondition, ErrorReason::LastIdentifier),
            Error::UserNotFound => refuse(Code::NotFound, ErrorReason::UserNotFound),
            Error::EtagMismatch => refuse(Code::Aborted, ErrorReason::EtagMismatch),
            Error::CodeSignInOff => refuse(Code::FailedPrecondition, ErrorReason::CodeSignInOff),
            Error::RequestIdReused => refuse(Code::Aborted, ErrorReason::RequestIdReused),
            Error::Limited { reason, retry_after } => {
                let failure =
                    Self::new(Code::ResourceExhausted, DOMAIN, reason.as_str_name(), limit(reason, retry_after));
                match retry_after {
                    Some(delay) => failure.retry_after(delay),
                    None => failure,
                }
            }
            Error::KeySealed => Self::internal(error),
            Error::Store(error) => store(error),
            Error::Failure(failure) => failure,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

/// Without a time to come back, waiting does not help: it is the verification that is spent.
fn limit(reason: ErrorReason, retry_after: Option<Duration>) -> &'static str {
    match (reason, retry_after) {
        (ErrorReason::OtpResendTooSoon, _) => "a code was sent a moment ago",
        (ErrorReason::SignInThrottled, _) => "too many passwords or codes were tried",
        (ErrorReason::SignUpThrottled, _) => "too many signed up from this network",
        (ErrorReason::OtpSendLimit, Some(_)) => "no more codes are sent for now",
        (ErrorReason::OtpSendLimit, None) => "no send is left to this verification: open another",
        (_, Some(_)) => "too many codes were guessed",
        (_, None) => "no guess is left to this verification: open another",
    }
}

fn store(error: db::Error) -> Failure {
    match error {
        db::Error::Full => Failure::overloaded(Duration::from_secs(1)),
        db::Error::Late => Failure::late(),
        db::Error::Unavailable | db::Error::OutcomeUnknown => Failure::unreachable("the database does not answer"),
        error @ db::Error::Engine(_) => Failure::unreachable("the database cannot do it").because(error),
        other => Failure::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error as DieselError};

    use super::*;

    #[test]
    fn what_the_engine_could_not_do_may_be_repeated_and_is_not_told() {
        let cause = DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new("the disk is full".to_owned()));
        let status = tonic::Status::from(Error::from(cause));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("full"), "{status}");
    }
}

//! Why SMS refuses, and how each refusal leaves.

use std::time::Duration;

use mesh::Failure;
use proto::sms::v1::ErrorReason;
use tonic::Code;

use crate::limits::Refusal;

/// ErrorInfo.domain of the reasons in `sms.v1.ErrorReason`.
pub const DOMAIN: &str = "sms.plaza";

/// When to come back to a database that has too much waiting: its queue is worked off in less.
const COME_BACK: Duration = Duration::from_millis(200);

/// Why a flow did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such verification")]
    NotFound,
    #[error("the verification had its first send; use ResendOtp")]
    Exists,
    #[error("the cool-down is not over")]
    TooSoon(Duration),
    #[error("the destination had all its messages for now")]
    DestinationSpent(Duration),
    #[error("the verification had all its messages; open another")]
    VerificationSpent,
    #[error("too many codes were guessed for this destination within a day")]
    DestinationGuessed(Duration),
    #[error("the verification has no guess left, so that another code is of no use; open another")]
    VerificationGuessed,
    #[error("the destination had all messages of this notice for a day")]
    NoticesSpent(Duration),
    #[error("the request id was used before, with another request")]
    RequestIdReused,
    #[error("the verification has succeeded")]
    Over,
    #[error("it is not known yet whether the carrier took the message: repeat the request")]
    Unsettled,
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooSoon(wait) => Self::TooSoon(wait),
            Refusal::DestinationSpent(wait) => Self::DestinationSpent(wait),
            Refusal::VerificationSpent => Self::VerificationSpent,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let refuse = |code, reason: ErrorReason| Failure::new(code, DOMAIN, reason.as_str_name(), &text);
        match error {
            Error::NotFound => refuse(Code::NotFound, ErrorReason::VerificationNotFound),
            Error::Exists => refuse(Code::AlreadyExists, ErrorReason::VerificationExists),
            Error::TooSoon(wait) => refuse(Code::ResourceExhausted, ErrorReason::OtpResendTooSoon).retry_after(wait),
            Error::DestinationSpent(wait) => {
                refuse(Code::ResourceExhausted, ErrorReason::OtpSendLimit).retry_after(wait)
            }
            Error::VerificationSpent => refuse(Code::ResourceExhausted, ErrorReason::OtpSendLimit),
            Error::DestinationGuessed(wait) => {
                refuse(Code::ResourceExhausted, ErrorReason::OtpGuessLimit).retry_after(wait)
            }
            Error::VerificationGuessed => refuse(Code::ResourceExhausted, ErrorReason::OtpGuessLimit),
            Error::NoticesSpent(wait) => refuse(Code::ResourceExhausted, ErrorReason::MessageLimit).retry_after(wait),
            Error::RequestIdReused => refuse(Code::Aborted, ErrorReason::RequestIdReused),
            Error::Over => refuse(Code::FailedPrecondition, ErrorReason::VerificationOver),
            Error::Unsettled => Failure::unreachable(text),
            Error::Db(error) => broken(error),
        }
    }
}

/// How a database that did not do its part is told. A write of unknown outcome may be repeated: every call is keyed by its
/// request id.
fn broken(error: db::Error) -> Failure {
    match error {
        db::Error::Full => Failure::overloaded(COME_BACK),
        db::Error::Late => Failure::late(),
        db::Error::Unavailable | db::Error::OutcomeUnknown => Failure::unreachable("the database of sms is away"),
        error @ db::Error::Engine(_) => Failure::unreachable("the database of sms cannot do it").because(error),
        other => Failure::internal(other),
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error as DieselError};

    use super::*;

    #[test]
    fn what_the_engine_could_not_do_may_be_repeated_and_is_not_told() {
        let cause = "database or disk is full";
        let cause = DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(cause.to_owned()));
        let status = tonic::Status::from(Failure::from(Error::from(cause)));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("full"), "{status}");
    }
}

//! What Blog refuses a call for, and how that leaves.

use std::time::Duration;

use mesh::Failure;
use proto::blog::v1::ErrorReason;
use tonic::{Code, Status};

/// ErrorInfo.domain of the reasons in `blog.v1.ErrorReason`.
pub(crate) const DOMAIN: &str = "blog.plaza";

/// When to come back to a database that has too much to do: a few group commits later.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Why a flow did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No user has this id or username, or the one that had it is deleted.
    #[error("no user has this id or username")]
    UserNotFound,
    /// The user was deleted at this version, which is not below the one that was told.
    #[error("the user was deleted at version {0}")]
    UserDeleted(i64),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::UserNotFound => Failure::new(Code::NotFound, DOMAIN, ErrorReason::UserNotFound.as_str_name(), text),
            Error::UserDeleted(version) => {
                Failure::new(Code::FailedPrecondition, DOMAIN, ErrorReason::UserDeleted.as_str_name(), text)
                    .with("version", version)
            }
            Error::Db(error) => database(error),
        }
    }
}

/// Nothing that Blog writes is harmed by a repeat, so an outcome that is not known is UNAVAILABLE as well.
fn database(error: db::Error) -> Failure {
    match error {
        db::Error::Full => Failure::overloaded(RETRY_AFTER),
        db::Error::Late => Failure::late(),
        db::Error::Unavailable | db::Error::OutcomeUnknown => {
            Failure::unreachable("the database of Blog does not answer")
        }
        error => Failure::internal(error),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}

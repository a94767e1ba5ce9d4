//! What is refused, and how that leaves.

use std::time::Duration;

use mesh::Failure;
use tonic::Code;

/// When to come back to a database that has too much to do: a few group commits later.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No user has this id or username, or the one that had it is deleted.
    #[error("no user has this id or username")]
    UserNotFound,
    /// The user was deleted, at this version. Nothing brings it back.
    #[error("the user was deleted at version {0}")]
    UserDeleted(i64),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Error {
    /// As it leaves the service whose ErrorInfo.domain is `domain`. Its contract has the reasons `USER_NOT_FOUND` and `USER_DELETED`.
    pub fn of(self, domain: &'static str) -> Failure {
        let text = self.to_string();
        match self {
            Self::UserNotFound => Failure::new(Code::NotFound, domain, "USER_NOT_FOUND", text),
            Self::UserDeleted(version) => {
                Failure::new(Code::FailedPrecondition, domain, "USER_DELETED", text).with("version", version)
            }
            Self::Db(error) => database(error),
        }
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Nothing that is written here is harmed by a repeat, so an outcome that is not known is UNAVAILABLE as well.
fn database(error: db::Error) -> Failure {
    match error {
        db::Error::Full => Failure::overloaded(RETRY_AFTER),
        db::Error::Late => Failure::late(),
        db::Error::Unavailable | db::Error::OutcomeUnknown => Failure::unreachable("the database does not answer"),
        error @ db::Error::Engine(_) => Failure::unreachable("the database cannot do it").because(error),
        error => Failure::internal(error),
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
        let status = tonic::Status::from(Error::from(cause).of("roster.plaza"));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("full"), "{status}");
    }
}

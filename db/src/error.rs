//! What can go wrong with a database.

use crate::names;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use std::path::PathBuf;

/// Why a read or a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A unique index or constraint refused the row. The name is the same on both engines, as long as unique indexes
    /// are called `<table>_<columns, joined by _>_key`, which is what PostgreSQL itself calls a `UNIQUE` constraint:
    /// PostgreSQL reports the name, SQLite the table and the columns, out of which the name is made. An index over
    /// expressions is reported by its name on both. [`Db::open`](crate::Db::open) refuses other names.
    ///
    /// Primary keys are not held to it: one a store wants to recognise is declared on PostgreSQL as
    /// `CONSTRAINT users_id_key PRIMARY KEY (id)`.
    #[error("{constraint} is taken")]
    Unique {
        /// `users_username_key`.
        constraint: String,
    },
    /// The queue is full. Nothing was done.
    #[error("too many jobs are waiting for the database")]
    Full,
    /// The deadline passed before the transaction was done. Nothing was done.
    #[error("the deadline passed before the database was done")]
    Late,
    /// The database cannot be reached, or was closed. Nothing was done; the cause is in the log.
    #[error("the database cannot be reached")]
    Unavailable,
    /// The connection was lost during the commit: it may have happened, or not.
    #[error("the database did not say whether it committed")]
    OutcomeUnknown,
    /// The closure panicked, and was rolled back.
    #[error("a transaction panicked")]
    Panicked,
    /// The engine could not do it, for no reason that diesel names: no room on the disk or in memory, a query that somebody cancelled. It was
    /// undone, and may be repeated; a mistake in a statement is among them too.
    #[error(transparent)]
    Engine(DieselError),
    /// Anything else the engine or diesel said, such as a constraint that does not hold. `NotFound` is among them.
    #[error(transparent)]
    Query(DieselError),
}

impl Error {
    /// Whether the unique index or constraint `name` (`users_username_key`) refused the row. The same on both engines:
    /// see [`Error::Unique`].
    #[must_use]
    pub fn is_unique(&self, name: &str) -> bool {
        self.unique() == Some(name)
    }

    /// The unique index or constraint that refused the row, if one did.
    #[must_use]
    pub fn unique(&self) -> Option<&str> {
        match self {
            Self::Unique { constraint } => Some(constraint),
            _ => None,
        }
    }

    /// Whether the server was away, or did not answer in time: that may pass.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable | Self::OutcomeUnknown | Self::Late)
    }
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        use DatabaseErrorKind::{
            ClosedConnection, ReadOnlyTransaction, SerializationFailure, UnableToSendCommand, UniqueViolation, Unknown,
        };
        match &error {
            DieselError::DatabaseError(UniqueViolation, about) => Self::Unique {
                constraint: about.constraint_name().map_or_else(|| names::of(about.message()), str::to_owned),
            },
            DieselError::DatabaseError(
                ClosedConnection | ReadOnlyTransaction | SerializationFailure | UnableToSendCommand,
                about,
            ) => {
                tracing::debug!(cause = about.message(), "a statement could not be run");
                Self::Unavailable
            }
            DieselError::DatabaseError(Unknown, _) => Self::Engine(error),
            _ => Self::Query(error),
        }
    }
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none this program knows. It is not repeated: it may hold a password.
    #[error("the database url is neither sqlite:<path> nor postgres://...: {0}")]
    Url(String),
    /// Another process (or another handle in this one) has the file.
    #[error("{} is in use by another process: one process at a time may open a SQLite file (lock file {})", path.display(), lock.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// The lock file beside it.
        lock: PathBuf,
    },
    /// The file, or the folder it is in, cannot be made or opened.
    #[error("cannot open {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// The server is not there, is only starting, writes nothing because it is a standby, or somebody keeps a table that is to be migrated: all that
    /// may pass.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The engine did not let us in.
    #[error("cannot connect to the database: {0}")]
    Connect(String),
    /// A newer version of the program has been here.
    #[error("the database is newer than this program: it has migrations this program does not know: {}", versions.join(", "))]
    Newer {
        /// The migrations the program does not know.
        versions: Vec<String>,
    },
    /// The two engines' migrations do not bear the same names: a mistake in the program.
    #[error("the migrations of the two engines differ: sqlite {sqlite:?}, postgres {postgres:?}")]
    Differ {
        /// Only SQLite has these.
        sqlite: Vec<String>,
        /// Only PostgreSQL has these.
        postgres: Vec<String>,
    },
    /// A migration failed; on SQLite none of them took effect.
    #[error("cannot migrate the database: {0}")]
    Migrate(String),
    /// A unique index has a name by which its violation could not be told on both engines: a mistake in a migration.
    #[error("the unique index {index} must be called {expected}")]
    IndexName {
        /// The index.
        index: String,
        /// The name it must have.
        expected: String,
    },
}

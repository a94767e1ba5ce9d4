//! A connection to PostgreSQL as diesel's synchronous traits want it, over the asynchronous driver.
//!
//! diesel-async has such a wrapper; this one also drives its own connection and keeps the kind of the last error,
//! which a closure's own error type hides from whoever has to decide whether to run it again.

use super::connect::{HANDSHAKE, Server};
use super::runtime::Driver;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager,
};
use diesel::expression::QueryMetadata;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::{ConnectionResult, QueryResult};
use diesel_async::{AsyncConnection, AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;
use std::time::Instant;

/// A connection to PostgreSQL, without libpq. Made by [`Db`](crate::Db) alone.
pub struct PgConn {
    /// `None` only while it is dropped, when the client has to go before its connection can.
    inner: Option<AsyncPgConnection>,
    driver: Driver,
    transactions: AnsiTransactionManager,
    fault: Fault,
}

/// What the errors since the last look allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Fault {
    /// No error, or one that is the statement's own.
    #[default]
    None,
    /// An error without a kind, such as a statement that took too long.
    Other,
    /// Another transaction came in between: run it again.
    Conflict,
    /// The server does not write: it is a standby, perhaps since a moment ago.
    ReadOnly,
    /// The connection is lost.
    Connection,
}

impl Fault {
    pub(crate) fn of(error: &Error) -> Self {
        use DatabaseErrorKind::{
            ClosedConnection, ReadOnlyTransaction, SerializationFailure, UnableToSendCommand, Unknown,
        };
        match error {
            Error::DatabaseError(SerializationFailure, _) => Self::Conflict,
            Error::DatabaseError(ReadOnlyTransaction, _) => Self::ReadOnly,
            Error::DatabaseError(ClosedConnection | UnableToSendCommand, _) => Self::Connection,
            Error::DatabaseError(Unknown, about) if about.details().is_some_and(is_of_deadlock) => Self::Conflict,
            Error::DatabaseError(Unknown, _) => Self::Other,
            _ => Self::None,
        }
    }
}

/// Whether an error with these details is of a deadlock. diesel hides the SQLSTATE, and the message is in the language of the server; but the details have a line for
/// each who waits, and in every language it names the lock: `ShareLock`, `RowExclusiveLock`.
fn is_of_deadlock(details: &str) -> bool {
    let waits = |line: &str| line.contains("ShareLock") || line.contains("ExclusiveLock");
    details.lines().count() > 1 && details.lines().all(waits)
}

impl PgConn {
    pub(crate) fn new(inner: AsyncPgConnection, driver: Driver) -> Self {
        Self { inner: Some(inner), driver, transactions: AnsiTransactionManager::default(), fault: Fault::None }
    }

    /// Nothing is waited for beyond `limit`, if there is one: the connection is lost instead.
    pub(crate) fn limit(&self, limit: Option<Instant>) {
        self.driver.limit(limit);
    }

    /// The worst since the last look.
    pub(crate) fn take_fault(&mut self) -> Fault {
        std::mem::take(&mut self.fault)
    }

    /// Commits without a statement time-out, which would cut a wait for a standby short *after* the commit. A
    /// transaction in which a statement failed is refused (`COMMIT` alone would undo it and report success).
    pub(crate) fn commit(&mut self) -> QueryResult<()> {
        self.batch_execute("SET LOCAL statement_timeout = 0; COMMIT")?;
        let status = AnsiTransactionManager::transaction_manager_status_mut(self);
        status.transaction_state()?.change_transaction_depth(diesel::connection::TransactionDepthChange::DecreaseDepth)
    }

    fn noted<T>(&mut self, result: QueryResult<T>) -> QueryResult<T> {
        note(&mut self.fault, result)
    }
}

fn note<T>(fault: &mut Fault, result: QueryResult<T>) -> QueryResult<T> {
    result.inspect_err(|error| *fault = Fault::of(error).max(*fault))
}

fn gone() -> Error {
    Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new("the connection is closed".to_owned()))
}

impl Drop for PgConn {
    fn drop(&mut self) {
        self.inner = None;
        self.driver.part();
    }
}

impl SimpleConnection for PgConn {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        let inner = self.inner.as_mut().ok_or_else(gone)?;
        let result = self.driver.wait(inner.batch_execute(query));
        self.noted(result)
    }
}

impl ConnectionSealed for PgConn {}

impl Connection for PgConn {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(url: &str) -> ConnectionResult<Self> {
        Server::of(url)
            .and_then(|server| Ok(server.connect(Instant::now() + HANDSHAKE)?))
            .inspect(|conn| conn.limit(None))
            .map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        let inner = self.inner.as_mut().ok_or_else(gone)?;
        let result = self.driver.wait(inner.execute_returning_count(source));
        self.noted(result)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.as_mut().expect("it is there until the drop").instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        if let Some(inner) = &mut self.inner {
            inner.set_instrumentation(instrumentation);
        }
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        if let Some(inner) = &mut self.inner {
            inner.set_prepared_statement_cache_size(size);
        }
    }
}

type Stream = <AsyncPgConnection as AsyncConnectionCore>::Stream<'static, 'static>;

/// The rows of a query, fetched as they are asked for.
pub struct Rows<'conn> {
    stream: Stream,
    driver: &'conn Driver,
    fault: &'conn mut Fault,
}

impl Iterator for Rows<'_> {
    type Item = <Stream as futures_util::Stream>::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.driver.wait(self.stream.next())?;
        Some(note(self.fault, row))
    }
}

impl LoadConnection for PgConn {
    type Cursor<'conn, 'query> = Rows<'conn>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Rows<'conn>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        let inner = self.inner.as_mut().ok_or_else(gone)?;
        let loaded = self.driver.wait(inner.load(source));
        let stream = note(&mut self.fault, loaded)?;
        Ok(Rows { stream, driver: &self.driver, fault: &mut self.fault })
    }
}

impl MigrationConnection for PgConn {
    fn setup(&mut self) -> QueryResult<usize> {
        self.batch_execute(CREATE_MIGRATIONS_TABLE).map(|()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_is_known_in_every_language() {
        for details in [
            "Process 1 waits for ShareLock on transaction 7; blocked by process 2.\nProcess 2 waits for ExclusiveLock on tuple (0,1) of relation 8 of database 9; blocked by process 1.",
            "Prozess 1 wartet auf ShareLock-Sperre auf Transaktion 7; blockiert von Prozess 2.\nProzess 2 wartet auf ShareLock-Sperre auf Transaktion 8; blockiert von Prozess 1.",
            "进程1等待在事务 7上的AccessExclusiveLock; 由进程2阻塞.\n进程2等待在事务 8上的ShareLock; 由进程1阻塞.",
        ] {
            assert!(is_of_deadlock(details), "{details}");
        }
        for details in
            ["", "Expected end of input, but found \"ShareLock\".", "JSON data, line 1: \"ShareLock\"\nline 2"]
        {
            assert!(!is_of_deadlock(details), "{details}");
        }
    }
}

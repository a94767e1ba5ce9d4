//! Transactions and savepoints over either engine. diesel counts the depth on both, so savepoints nest.

use crate::{Conn, on};
use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager};

/// Begins a transaction with `sql` (`BEGIN IMMEDIATE`, `BEGIN READ ONLY`, ...).
pub(crate) fn begin(conn: &mut Conn, sql: &str) -> QueryResult<()> {
    on!(conn => AnsiTransactionManager::begin_transaction_sql(conn, sql))
}

/// Sets a savepoint inside the transaction.
pub(crate) fn savepoint(conn: &mut Conn) -> QueryResult<()> {
    on!(conn => AnsiTransactionManager::begin_transaction(conn))
}

/// Ends the innermost level for good: releases a savepoint, or commits.
pub(crate) fn commit(conn: &mut Conn) -> QueryResult<()> {
    on!(conn => AnsiTransactionManager::commit_transaction(conn))
}

/// Undoes the innermost level.
pub(crate) fn rollback(conn: &mut Conn) -> QueryResult<()> {
    on!(conn => AnsiTransactionManager::rollback_transaction(conn))
}

/// Undoes levels until `depth` are left, 0 being no transaction: a closure may leave some open when it panics.
pub(crate) fn rollback_to(conn: &mut Conn, depth: u32) -> QueryResult<()> {
    while level(conn)? > depth {
        rollback(conn)?;
    }
    Ok(())
}

fn level(conn: &mut Conn) -> QueryResult<u32> {
    let level = on!(conn => AnsiTransactionManager::transaction_manager_status_mut(conn).transaction_depth())?;
    Ok(level.map_or(0, std::num::NonZero::get))
}

//! How long the statements of a job may take: every so many steps of a statement, SQLite asks whether to go on.
//!
//! diesel offers no such handler before its 2.4 (`on_progress`), nor a way to its handle. So SQLite attaches the handler itself, to every connection
//! that this process opens. It asks for the deadline of its thread, which has one only while it runs a job here: a connection belongs to one thread.

#![allow(unsafe_code, reason = "diesel does not give its handle away")]

use crate::Conn;
use crate::job::{Job, Ran};
use libsqlite3_sys as sqlite;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::time::Instant;

/// Steps of SQLite's virtual machine, some 10 us of them. A single step may take longer, and is not cut short: one counts all rows of a table, or sorts.
const STEPS: c_int = 1000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    At(Instant),
    /// A statement was ended.
    Passed,
}

thread_local! {
    static LIMIT: Cell<Limit> = const { Cell::new(Limit::None) };
}

/// Lets every connection that is opened from now on ask for the deadline of its thread. Whether that could be done: it needs memory, the first time.
pub(super) fn attach_to_connections() -> bool {
    // SAFETY: `attach` is what SQLite calls an extension's entry point, and lives as long as the program.
    unsafe { sqlite::sqlite3_auto_extension(Some(attach)) == sqlite::SQLITE_OK }
}

/// SAFETY: to be called by SQLite alone, with a connection that it is opening.
unsafe extern "C" fn attach(
    connection: *mut sqlite::sqlite3,
    _error: *mut *mut c_char,
    _api: *const sqlite::sqlite3_api_routines,
) -> c_int {
    // SAFETY: the connection is open, and the handler, which is given no data, lives as long as the program.
    unsafe { sqlite::sqlite3_progress_handler(connection, STEPS, Some(is_late), ptr::null_mut()) };
    sqlite::SQLITE_OK
}

/// Whether to end the statement. Nothing in it can panic.
extern "C" fn is_late(_: *mut c_void) -> c_int {
    LIMIT.with(|limit| {
        if matches!(limit.get(), Limit::At(at) if at <= Instant::now()) {
            limit.set(Limit::Passed);
        }
        c_int::from(limit.get() == Limit::Passed)
    })
}

/// Runs a job's closure, if `until` has not passed. A statement that is still running then ends with an error; if the closure does, too, the job is late.
/// SQLite undoes the whole transaction with a write that it ends.
pub(super) fn run(job: &mut dyn Job, conn: &mut Conn, until: Option<Instant>) -> Ran {
    let Some(until) = until else { return job.run(conn) };
    if until <= Instant::now() {
        return Ran::Late;
    }
    LIMIT.set(Limit::At(until));
    let ran = job.run(conn);
    let passed = LIMIT.replace(Limit::None) == Limit::Passed;
    if passed && ran == Ran::Refused { Ran::Late } else { ran }
}

//! The floor under SQLite: its C API, on one connection, with statements prepared once.

#![allow(unsafe_code, reason = "the C API is what is measured")]

use std::{
    error::Error,
    ffi::{CStr, CString, c_int},
    path::Path,
    ptr,
    sync::mpsc,
    thread,
};

use libsqlite3_sys as sqlite;
use tokio::sync::oneshot;

use super::store::{FIND, INSERT};

/// The settings of `db`, so that a commit costs the same.
const SETTINGS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON";

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A database on a thread of its own, as ours are. What it costs more is the hop.
pub(super) struct Away(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce(&Floor) + Send>;

impl Away {
    /// Opens a file that has the tables, on a thread that ends with the value.
    pub(super) fn open(path: &Path) -> Self {
        let (sender, jobs) = mpsc::channel::<Job>();
        let path = path.to_owned();
        thread::spawn(move || {
            let Ok(floor) = Floor::open(&path) else { return };
            jobs.into_iter().for_each(|job| job(&floor));
        });
        Self(sender)
    }

    pub(super) async fn run(&self, work: impl FnOnce(&Floor) -> Outcome + Send + 'static) -> Outcome {
        let (answer, answered) = oneshot::channel();
        self.0.send(Box::new(move |floor| _ = answer.send(work(floor)))).map_err(|_| "the file cannot be opened")?;
        answered.await?
    }
}

/// An open database.
pub(super) struct Floor {
    connection: *mut sqlite::sqlite3,
    insert: *mut sqlite::sqlite3_stmt,
    find: *mut sqlite::sqlite3_stmt,
}

impl Floor {
    /// Opens a file that has the tables.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let path = CString::new(path.to_str().ok_or("the path is not UTF-8")?)?;
        let mut floor = Self { connection: ptr::null_mut(), insert: ptr::null_mut(), find: ptr::null_mut() };
        // SAFETY: the path is a C string, and the connection is closed by the drop, also when opening failed.
        let code = unsafe { sqlite::sqlite3_open(path.as_ptr(), &mut floor.connection) };
        floor.holds(code == sqlite::SQLITE_OK)?;
        floor.run(SETTINGS)?;
        floor.insert = floor.prepare(INSERT)?;
        floor.find = floor.prepare(FIND)?;
        Ok(floor)
    }

    /// Runs statements that give no rows.
    pub(super) fn run(&self, sql: &str) -> Outcome {
        let sql = CString::new(sql)?;
        // SAFETY: the connection is open, and nothing is called back.
        let code =
            unsafe { sqlite::sqlite3_exec(self.connection, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        self.holds(code == sqlite::SQLITE_OK)
    }

    pub(super) fn insert(&self, id: &[u8; 16], at: i64) -> Outcome {
        self.bind(self.insert, id)?;
        let name = "somebody";
        // SAFETY: the statement lives, and the text is static.
        unsafe {
            let length = c_int::try_from(name.len())?;
            sqlite::sqlite3_bind_text(self.insert, 2, name.as_ptr().cast(), length, sqlite::SQLITE_STATIC());
            sqlite::sqlite3_bind_int64(self.insert, 3, at);
            let code = sqlite::sqlite3_step(self.insert);
            sqlite::sqlite3_reset(self.insert);
            self.holds(code == sqlite::SQLITE_DONE)
        }
    }

    /// The row, copied out as a program would.
    pub(super) fn find(&self, id: &[u8; 16]) -> Outcome<([u8; 16], String, i64)> {
        self.bind(self.find, id)?;
        // SAFETY: the statement lives, and what its columns point to is copied before the reset.
        unsafe {
            sqlite::sqlite3_bind_int64(self.find, 2, 1);
            let found = sqlite::sqlite3_step(self.find) == sqlite::SQLITE_ROW;
            let row = found.then(|| {
                let mut id = [0; 16];
                let blob = sqlite::sqlite3_column_blob(self.find, 0).cast::<u8>();
                ptr::copy_nonoverlapping(blob, id.as_mut_ptr(), id.len());
                let name = CStr::from_ptr(sqlite::sqlite3_column_text(self.find, 1).cast());
                (id, name.to_string_lossy().into_owned(), sqlite::sqlite3_column_int64(self.find, 2))
            });
            sqlite::sqlite3_reset(self.find);
            row.ok_or_else(|| "nobody is there".into())
        }
    }

    fn bind(&self, statement: *mut sqlite::sqlite3_stmt, id: &[u8; 16]) -> Outcome {
        // SAFETY: the statement lives; the id is copied.
        let code =
            unsafe { sqlite::sqlite3_bind_blob(statement, 1, id.as_ptr().cast(), 16, sqlite::SQLITE_TRANSIENT()) };
        self.holds(code == sqlite::SQLITE_OK)
    }

    fn prepare(&self, sql: &str) -> Outcome<*mut sqlite::sqlite3_stmt> {
        let (sql, mut statement) = (CString::new(sql)?, ptr::null_mut());
        // SAFETY: the connection is open; the statement is finalized by the drop.
        let code =
            unsafe { sqlite::sqlite3_prepare_v2(self.connection, sql.as_ptr(), -1, &mut statement, ptr::null_mut()) };
        self.holds(code == sqlite::SQLITE_OK)?;
        Ok(statement)
    }

    fn holds(&self, holds: bool) -> Outcome {
        if holds {
            return Ok(());
        }
        // SAFETY: SQLite gives a C string for any connection, also for none.
        let message = unsafe { CStr::from_ptr(sqlite::sqlite3_errmsg(self.connection)) };
        Err(message.to_string_lossy().into())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // SAFETY: finalizing and closing nothing is allowed, and nobody uses them afterwards.
        unsafe {
            sqlite::sqlite3_finalize(self.insert);
            sqlite::sqlite3_finalize(self.find);
            sqlite::sqlite3_close(self.connection);
        }
    }
}

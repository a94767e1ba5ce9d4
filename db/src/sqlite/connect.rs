//! Opening connections to one SQLite file.

use super::limit;
use super::lock::{Lock, private};
use crate::{Conn, Migrations, OpenError, migrate, names, transaction};
use diesel::connection::SimpleConnection;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{Connection, QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types};
use std::path::{Path, PathBuf};

/// For every connection. Full synchronisation costs nothing once commits are grouped, and is what makes an answer
/// durable. Memory mapping stays off: reports blame it for making corruption worse. The writer moves the last of the journal into the file itself
/// (`checkpoint`) only when it has grown to 64 MiB, as under a load that leaves no pause; begun anew, it is cut back to that.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; \
    PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 67108864;";

/// Which database, and the lock on it.
pub(crate) struct Source {
    path: PathBuf,
    /// `None` in memory.
    lock: Option<Lock>,
}

impl Source {
    /// Takes the file (with its folder, made if need be), for this process and its owner alone.
    pub(crate) fn of(path: &str) -> Result<Self, OpenError> {
        if path == ":memory:" {
            return Ok(Self { path: path.into(), lock: None });
        }
        let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
        if path.as_os_str().is_empty() {
            return Err(OpenError::Url("it names no file".to_owned()));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|cause| OpenError::File { path: folder.into(), cause })?;
        }
        let lock = Lock::take(&path)?;
        // SQLite gives its journal the same rights.
        private(&path)?;
        Ok(Self { path, lock: Some(lock) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where SQLite keeps what was committed until it is moved into the file.
    pub(crate) fn journal(&self) -> PathBuf {
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-wal");
        journal.into()
    }

    pub(crate) fn in_memory(&self) -> bool {
        self.lock.is_none()
    }

    /// A connection for `settings` besides the usual ones.
    pub(crate) fn connect(&self, settings: &str) -> Result<Conn, OpenError> {
        let failed = |error: String| OpenError::Connect(format!("{}: {error}", self.path.display()));
        let path = self.path.to_str().ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
        // The `file:` form is not for us: a path is a path.
        let path = if self.in_memory() || self.path.is_absolute() { path.to_owned() } else { format!("./{path}") };
        if !limit::attach_to_connections() {
            return Err(failed("out of memory".to_owned()));
        }
        let mut conn = SqliteConnection::establish(&path).map_err(|error| failed(error.to_string()))?;
        conn.batch_execute(SETTINGS).and_then(|()| conn.batch_execute(settings)).map_err(|e| failed(e.to_string()))?;
        Ok(Conn::Sqlite(conn))
    }

    /// The connection that writes.
    pub(crate) fn writing(&self) -> Result<Conn, OpenError> {
        self.connect("PRAGMA foreign_keys = ON")
    }

    /// The connection of the thread that makes checkpoints. It may hold up writes, so it is not to wait long.
    pub(crate) fn checkpointing(&self) -> Result<Conn, OpenError> {
        self.connect("PRAGMA busy_timeout = 1000")
    }

    /// A connection that cannot write.
    pub(crate) fn reading(&self) -> Result<Conn, OpenError> {
        self.connect("PRAGMA query_only = ON")
    }
}

/// The writing connection, with the database up to date.
pub(crate) fn migrated(source: &Source, migrations: &Migrations) -> Result<Conn, OpenError> {
    // Without foreign keys, which can only be switched outside a transaction: a migration may have to replace a table
    // others point to. They are checked before the commit.
    let mut conn = source.connect("PRAGMA foreign_keys = OFF")?;
    let failed = |error: diesel::result::Error| OpenError::Migrate(error.to_string());
    transaction::begin(&mut conn, "BEGIN IMMEDIATE").map_err(failed)?;
    match within(&mut conn, migrations) {
        Ok(()) => transaction::commit(&mut conn).map_err(failed)?,
        Err(error) => {
            // Closing the connection would do the same.
            let _ = transaction::rollback_to(&mut conn, 0);
            return Err(error);
        }
    }
    execute(&mut conn, "PRAGMA foreign_keys = ON").map_err(failed)?;
    Ok(conn)
}

/// The run as one transaction: diesel takes no lock itself, and all or nothing is better than half.
fn within(conn: &mut Conn, migrations: &Migrations) -> Result<(), OpenError> {
    let Conn::Sqlite(c) = conn else { return Ok(()) };
    if migrate::run::<Sqlite>(c, &migrations.sqlite)? > 0 {
        let broken: Vec<Dangling> = sql_query("SELECT DISTINCT \"table\" AS name FROM pragma_foreign_key_check")
            .load(c)
            .map_err(|error| OpenError::Migrate(error.to_string()))?;
        if let Some(Dangling { name }) = broken.first() {
            return Err(OpenError::Migrate(format!("rows of {name} point to rows that do not exist")));
        }
    }
    names::check(conn)
}

#[derive(QueryableByName)]
struct Dangling {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
}

/// Runs a statement that is none of diesel's.
pub(crate) fn execute(conn: &mut Conn, sql: &str) -> QueryResult<()> {
    crate::on!(conn => conn.batch_execute(sql))
}

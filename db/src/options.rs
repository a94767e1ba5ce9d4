//! What a database is opened with.

use crate::Faults;
use diesel_migrations::EmbeddedMigrations;
use std::fmt;
use std::time::Duration;

/// How to open a database. Start from [`Options::new`].
#[derive(Clone)]
pub struct Options {
    /// `sqlite:<path>`, `sqlite::memory:` or `postgres://user:password@host,host/database?key=value`. Of several hosts
    /// the first that writes is taken. `sslmode` is `disable`, `prefer` (the default), `require`, `verify-ca` or
    /// `verify-full`, as libpq reads them; the last two need `sslrootcert`, a file of PEM certificates. The rest is
    /// tokio-postgres's.
    pub url: String,
    /// Threads, each with a connection of its own, on PostgreSQL (1 to 64; 8). Over all replicas they stay below the
    /// server's `max_connections`.
    pub threads: usize,
    /// How many jobs may wait in a queue (1024). One more is refused at once, with [`Error::Full`](crate::Error::Full).
    pub queue: usize,
    /// The longest a job may take, waiting included, when nothing asks for less (5 s).
    pub patience: Duration,
    /// How long to wait at the start for a server that cannot be reached; `None`, the default, is for ever.
    pub wait: Option<Duration>,
    /// Run closures on the calling thread, one at a time: for paused time and simulations, where one seed is to give
    /// one history. The transactions are the same.
    pub inline: bool,
    /// When the call being handled must be answered: asked once for each job, as it is handed in.
    pub deadline: fn() -> Option<tokio::time::Instant>,
    /// What is to go wrong, in tests of faults. Nothing by default.
    pub faults: Faults,
}

impl Options {
    /// The defaults, for `url`, without a deadline.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            threads: 8,
            queue: 1024,
            patience: Duration::from_secs(5),
            wait: None,
            inline: false,
            deadline: || None,
            faults: Faults::default(),
        }
    }

    /// The same, with the numbers held within their bounds.
    pub(crate) fn bounded(mut self) -> Self {
        self.threads = self.threads.clamp(1, 64);
        self.queue = self.queue.max(1);
        self.patience = self.patience.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self
    }
}

/// Leaves the address out: it may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("queue", &self.queue)
            .field("patience", &self.patience)
            .field("wait", &self.wait)
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}

/// The migrations of a database, embedded, for each engine under the same names. `embed_migrations!` wants a constant:
///
/// ```ignore
/// const MIGRATIONS: db::Migrations = db::Migrations {
///     sqlite: embed_migrations!("migrations/sqlite"),
///     postgres: embed_migrations!("migrations/postgres"),
/// };
/// ```
///
/// Every unique index is named `<table>_<columns>_key` (see [`Error::Unique`](crate::Error::Unique)).
pub struct Migrations {
    /// `embed_migrations!("migrations/sqlite")`.
    pub sqlite: EmbeddedMigrations,
    /// `embed_migrations!("migrations/postgres")`.
    pub postgres: EmbeddedMigrations,
}

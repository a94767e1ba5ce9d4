//! Connecting to the server, and migrating under its lock.

use super::address::Address;
use super::conn::PgConn;
use super::runtime::Driver;
use crate::{Conn, Migrations, OpenError, migrate as migrations_of, names, on};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel_async::AsyncPgConnection;
use std::error::Error as _;
use std::io::ErrorKind::{InvalidData, InvalidInput};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_postgres::Client;

/// For every session. A deadline sets a shorter statement time-out with each transaction.
const SETTINGS: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
    SET client_min_messages = 'warning'";

/// How long a session may take to be made when no job waits for it.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// "plaza" as a number: the advisory lock under which one program at a time migrates.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(482805671521)";
const MIGRATION_UNLOCK: &str = "SELECT pg_advisory_unlock(482805671521)";

/// Where the server is.
pub(crate) struct Server {
    address: Address,
    /// The host that let us in last, the first to be tried: after a failover the other one may be dead for long.
    last: AtomicUsize,
}

impl Server {
    /// Reads the address.
    pub(crate) fn of(url: &str) -> Result<Self, OpenError> {
        Ok(Self { address: Address::of(url)?, last: AtomicUsize::new(0) })
    }

    /// A new session, made before `limit`, which goes on to hold for what is done with it. Must not be called inside an
    /// asynchronous runtime.
    pub(crate) fn connect(&self, limit: Instant) -> Result<PgConn, Refusal> {
        let driver = Driver::new().map_err(|error| Refusal::passing(error.to_string()))?;
        let connecting = async {
            let client = self.dial(&driver).await?;
            AsyncPgConnection::try_from(client).await.map_err(|error| Refusal::passing(error.to_string()))
        };
        let inner = driver.wait(async { tokio::time::timeout_at(limit.into(), connecting).await });
        let inner = inner.map_err(|_| Refusal::passing("it took too long".to_owned()))??;
        let mut conn = PgConn::new(inner, driver);
        conn.limit(Some(limit));
        conn.batch_execute(SETTINGS).map_err(|error| Refusal::passing(error.to_string()))?;
        Ok(conn)
    }

    /// The first host that lets us in and writes. Each has no longer than its own time-out, so that one which takes
    /// connections and says nothing does not stand in the way of the next.
    async fn dial(&self, driver: &Driver) -> Result<Client, Refusal> {
        let mut refusal: Option<Refusal> = None;
        let (hosts, last) = (&self.address.hosts, self.last.load(Relaxed));
        for at in (0..hosts.len()).map(|step| (last + step) % hosts.len()) {
            let host = &hosts[at];
            let patience = host.get_connect_timeout().copied().unwrap_or(HANDSHAKE);
            let refused = match timeout(patience, host.connect(self.address.tls.clone())).await {
                Ok(Ok((client, connection))) => {
                    driver.drive(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the database ended");
                        }
                    });
                    self.last.store(at, Relaxed);
                    return Ok(client);
                }
                Ok(Err(error)) => Refusal::of(&error),
                Err(_) => Refusal::passing("it took too long".to_owned()),
            };
            refusal = Some(match refusal {
                None => refused,
                Some(before) => before.and(refused),
            });
        }
        Err(refusal.unwrap_or_else(|| Refusal::passing("it has no host".to_owned())))
    }
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) cause: String,
    /// Whether the same may succeed in a while, with nobody mending the configuration.
    passes: bool,
}

impl Refusal {
    fn passing(cause: String) -> Self {
        Self { cause, passes: true }
    }

    fn of(error: &tokio_postgres::Error) -> Self {
        let passes = match error.code() {
            // Of the server: connections, resources (too many sessions), operators (starting, stopping, in recovery).
            Some(state) => ["08", "53", "57"].iter().any(|class| state.code().starts_with(class)),
            // Of the network; a standby where a primary is wanted is among them. But not a handshake that failed.
            None => {
                let of_network = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
                error.is_closed() || of_network.is_some_and(|cause| !matches!(cause.kind(), InvalidData | InvalidInput))
            }
        };
        Self { cause: chain(error), passes }
    }

    /// Of two hosts.
    fn and(self, other: Self) -> Self {
        Self { cause: format!("{}; {}", self.cause, other.cause), passes: self.passes || other.passes }
    }
}

impl From<Refusal> for OpenError {
    fn from(Refusal { cause, passes }: Refusal) -> Self {
        if passes { Self::Unreachable(cause) } else { Self::Connect(cause) }
    }
}

/// The driver hides the cause behind "error connecting to server".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Brings the database up to date; other programs that start at the same time wait for it.
pub(crate) fn migrate(server: &Server, migrations: &Migrations) -> Result<(), OpenError> {
    let conn = server.connect(Instant::now() + HANDSHAKE)?;
    conn.limit(None);
    let mut conn = Conn::Postgres(conn);
    let outcome = within(&mut conn, migrations);
    // A session that ended has ended the lock and what was half done, so that it may be tried again.
    outcome.map_err(|error| if ended(&mut conn) { OpenError::Unreachable(error.to_string()) } else { error })
}

fn ended(conn: &mut Conn) -> bool {
    on!(conn => conn.batch_execute("ROLLBACK")).is_err()
}

fn within(conn: &mut Conn, migrations: &Migrations) -> Result<(), OpenError> {
    let Conn::Postgres(c) = conn else { return Ok(()) };
    let failed = |error: diesel::result::Error| OpenError::Migrate(error.to_string());
    // Waiting for the lock, and migrating, takes as long as it takes. The lock ends with the session at the latest.
    c.batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").map_err(failed)?;
    c.batch_execute(MIGRATION_LOCK).map_err(failed)?;
    migrations_of::run::<Pg>(c, &migrations.postgres)?;
    c.batch_execute(MIGRATION_UNLOCK).map_err(failed)?;
    names::check(conn)
}

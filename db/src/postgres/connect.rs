//! Connecting to the server, and migrating under its lock.

use super::address::{self, Address};
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
use tokio::time::timeout_at;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// For every session. A deadline sets a shorter statement time-out with each transaction.
const SETTINGS: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
    SET client_min_messages = 'warning'";

/// How long a session may take to be made when no job waits for it.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// "plaza" as a number: the advisory lock under which one program at a time migrates.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(482805671521)";
const MIGRATION_UNLOCK: &str = "SELECT pg_advisory_unlock(482805671521)";
/// How long a migration waits for a table: whoever wants the same table meanwhile, be it to read, stands behind it, and has a second or more.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '500ms'";

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
            let client = self.dial(&driver, limit).await?;
            AsyncPgConnection::try_from(client).await.map_err(|error| Refusal::passing(error.to_string()))
        };
        let inner = driver.wait(async { timeout_at(limit.into(), connecting).await });
        let inner = inner.map_err(|_| Refusal::passing("it took too long".to_owned()))??;
        let mut conn = PgConn::new(inner, driver);
        conn.limit(Some(limit));
        conn.batch_execute(SETTINGS).map_err(|error| Refusal::passing(error.to_string()))?;
        Ok(conn)
    }

    /// The first host that lets us in and writes. Each has its share of the time there is, so that one which says nothing does not stand in the
    /// way of the next, however little a job has left.
    async fn dial(&self, driver: &Driver, limit: Instant) -> Result<Client, Refusal> {
        let mut refusal: Option<Refusal> = None;
        let (hosts, last) = (&self.address.hosts, self.last.load(Relaxed));
        for step in 0..hosts.len() {
            let at = (last + step) % hosts.len();
            match self.reach(&hosts[at], share(limit, hosts.len() - step)).await {
                Ok((client, connection)) => {
                    driver.drive(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the database ended");
                        }
                    });
                    self.last.store(at, Relaxed);
                    return Ok(client);
                }
                Err(refused) => refusal = Some(Refusal::and(refusal, refused)),
            }
        }
        Err(refusal.unwrap_or_else(|| Refusal::passing("it has no host".to_owned())))
    }

    /// The same of the addresses of one host; none has longer than the host's time-out.
    async fn reach(&self, host: &Config, limit: Instant) -> Result<Reached, Refusal> {
        let late = |_| Refusal::passing("it took too long".to_owned());
        let addresses = timeout_at(limit.into(), address::each(host)).await.map_err(late)?;
        let addresses = addresses.map_err(|error| Refusal::passing(error.to_string()))?;
        let patience = host.get_connect_timeout().copied().unwrap_or(HANDSHAKE);
        let mut refusal: Option<Refusal> = None;
        for (tried, address) in addresses.iter().enumerate() {
            let limit = share(limit, addresses.len() - tried).min(Instant::now() + patience);
            let refused = match timeout_at(limit.into(), address.connect(self.address.tls.clone())).await {
                Ok(Ok(reached)) => return Ok(reached),
                Ok(Err(error)) => Refusal::of(&error),
                Err(elapsed) => late(elapsed),
            };
            refusal = Some(Refusal::and(refusal, refused));
        }
        Err(refusal.unwrap_or_else(|| Refusal::passing("it has no address".to_owned())))
    }
}

/// A client, and the connection that somebody has to drive for it.
type Reached = (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

/// Until when one of `many` may take, if the others are to have as long.
fn share(limit: Instant, many: usize) -> Instant {
    let now = Instant::now();
    now + limit.saturating_duration_since(now) / u32::try_from(many).unwrap_or(u32::MAX).max(1)
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

    /// Of what was tried before, if anything was, and of `other`.
    fn and(before: Option<Self>, other: Self) -> Self {
        match before {
            None => other,
            Some(Self { cause, passes }) => {
                Self { cause: format!("{cause}; {}", other.cause), passes: passes || other.passes }
            }
        }
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
    // A session that ended has ended the lock and what was half done, so that it may be tried again; and so may what waited for a table in vain.
    outcome.map_err(|error| {
        if ended(&mut conn) || waited_in_vain(&error, server) {
            OpenError::Unreachable(error.to_string())
        } else {
            error
        }
    })
}

/// Whether a statement ended with its `lock_timeout`, while the lock on migrations is held. diesel hides the SQLSTATE, and the text is in the server's
/// language: so another session that waits for our lock is told the same.
fn waited_in_vain(error: &OpenError, server: &Server) -> bool {
    let OpenError::Migrate(cause) = error else { return false };
    let told = || {
        let mut other = server.connect(Instant::now() + HANDSHAKE).ok()?;
        other.batch_execute("SET lock_timeout = '1ms'").ok()?;
        other.batch_execute(MIGRATION_LOCK).err()
    };
    told().is_some_and(|told| cause.ends_with(&told.to_string()))
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
    c.batch_execute(LOCK_TIMEOUT).map_err(failed)?;
    migrations_of::run::<Pg>(c, &migrations.postgres)?;
    c.batch_execute(MIGRATION_UNLOCK).map_err(failed)?;
    names::check(conn)
}

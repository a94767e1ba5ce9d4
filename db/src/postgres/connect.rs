//! Connecting to the server, and migrating under its lock.

use super::conn::PgConn;
use super::runtime::Driver;
use crate::{Conn, Migrations, OpenError, migrate as migrations_of, names};
use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel_async::AsyncPgConnection;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config, NoTls};

/// For every session. A deadline sets a shorter statement time-out with each transaction.
const SETTINGS: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
    SET client_min_messages = 'warning'";

/// "plaza" as a number: the advisory lock under which one program at a time migrates.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(482805671521)";
const MIGRATION_UNLOCK: &str = "SELECT pg_advisory_unlock(482805671521)";

/// Where the server is.
pub(crate) struct Server {
    config: Config,
}

impl Server {
    /// Reads the address; what it leaves open is set so that a dead server is noticed in seconds, not in a quarter of
    /// an hour.
    pub(crate) fn of(url: &str) -> Result<Self, OpenError> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            // The cause repeats a value at most, never the password.
            OpenError::Url(format!("it cannot be read ({error})"))
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(2));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        if config.get_application_name().is_none() {
            config.application_name("plaza");
        }
        if !url.contains("keepalives_idle") {
            config.keepalives_idle(Duration::from_secs(10));
        }
        Ok(Self { config })
    }

    /// A new session, made before `limit` if there is one. Must not be called inside an asynchronous runtime.
    pub(crate) fn connect(&self, limit: Option<Instant>) -> Result<PgConn, String> {
        let driver = Driver::new().map_err(|error| error.to_string())?;
        let connecting = async {
            let client = self.dial(&driver).await.map_err(|error| chain(&error))?;
            AsyncPgConnection::try_from(client).await.map_err(|error| error.to_string())
        };
        let inner = driver.wait(async {
            match limit {
                Some(limit) => tokio::time::timeout_at(limit.into(), connecting).await,
                None => Ok(connecting.await),
            }
        });
        let inner = inner.map_err(|_| "it took too long".to_owned())??;
        let mut conn = PgConn::new(inner, driver);
        if let Some(limit) = limit {
            conn.limit(limit);
        }
        conn.batch_execute(SETTINGS).map_err(|error| error.to_string())?;
        Ok(conn)
    }

    /// The one place that knows how the bytes travel. TLS is another connector here.
    async fn dial(&self, driver: &Driver) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        driver.drive(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok(client)
    }
}

/// The driver hides the cause behind "error connecting to server".
fn chain(error: &dyn std::error::Error) -> String {
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
    let mut conn = server.connect(None).map_err(OpenError::Connect)?;
    let failed = |error: diesel::result::Error| OpenError::Migrate(error.to_string());
    // Waiting for the lock, and migrating, takes as long as it takes. The lock ends with the session at the latest.
    conn.batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0").map_err(failed)?;
    conn.batch_execute(MIGRATION_LOCK).map_err(failed)?;
    migrations_of::run::<Pg>(&mut conn, &migrations.postgres)?;
    conn.batch_execute(MIGRATION_UNLOCK).map_err(failed)?;
    names::check(&mut Conn::Postgres(conn))
}

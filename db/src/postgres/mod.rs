//! PostgreSQL: equal threads, each with a connection of its own.

mod address;
mod conn;
mod connect;
mod outage;
mod runtime;
mod session;
mod tls;

use crate::figures::Figures;
use crate::queue::Queue;
use crate::worker::{Worker, Workers, start};
use crate::{Migrations, OpenError, Options};
pub use conn::PgConn;
use connect::Server;
use diesel::connection::SimpleConnection;
use outage::Outage;
use session::Session;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Runs statements on a connection of their own, in no transaction but PostgreSQL's around all of them: what makes and
/// drops databases and schemas. Blocks until they are done.
///
/// # Errors
/// If `url` is no PostgreSQL's, or the server cannot be reached or refuses them.
pub fn script(url: &str, sql: &str) -> Result<(), OpenError> {
    runtime::apart(|| {
        let mut conn = Server::of(url)?.connect(Instant::now() + connect::HANDSHAKE)?;
        conn.limit(None);
        let run = conn.batch_execute("SET statement_timeout = 0").and_then(|()| conn.batch_execute(sql));
        run.map_err(|error| OpenError::Connect(error.to_string()))
    })
}

/// Migrates the database and starts the threads, which connect with their first job.
pub(crate) fn open(options: &Options, migrations: &Migrations, figures: &Arc<Figures>) -> Result<Workers, OpenError> {
    let server = Arc::new(Server::of(&options.url)?);
    runtime::apart(|| connect::migrate(&server, migrations))?;
    let outage = Arc::new(Outage::default());
    if options.inline {
        return Ok(Workers::Inline(Mutex::new(Some(Box::new(session::Apart(Session::new(server, outage)))))));
    }
    let queue = Arc::new(Queue::new(options.queue));
    let mut threads = Vec::with_capacity(options.threads);
    for number in 0..options.threads {
        let session: Box<dyn Worker> = Box::new(Session::new(Arc::clone(&server), Arc::clone(&outage)));
        let thread = start(format!("db-{number}"), session, Arc::clone(&queue), Arc::clone(figures));
        threads.push(thread.map_err(|error| OpenError::Connect(format!("cannot start a thread: {error}")))?);
    }
    Ok(Workers::Threads { reads: Arc::clone(&queue), writes: queue, threads: Mutex::new(threads) })
}

//! PostgreSQL: equal threads, each with a connection of its own.

mod conn;
mod connect;
mod runtime;
mod session;

use crate::queue::Queue;
use crate::worker::{Worker, Workers, start};
use crate::{Migrations, OpenError, Options};
pub use conn::PgConn;
use connect::Server;
use session::Session;
use std::sync::{Arc, Mutex};

/// Migrates the database and starts the threads, which connect with their first job.
pub(crate) fn open(options: &Options, migrations: &Migrations) -> Result<Workers, OpenError> {
    let server = Arc::new(Server::of(&options.url)?);
    runtime::apart(|| connect::migrate(&server, migrations))?;
    if options.inline {
        return Ok(Workers::Inline(Mutex::new(Some(Box::new(session::Apart(Session::new(server)))))));
    }
    let queue = Arc::new(Queue::new(options.queue));
    let mut threads = Vec::with_capacity(options.threads);
    for number in 0..options.threads {
        let session: Box<dyn Worker> = Box::new(Session::new(Arc::clone(&server)));
        let thread = start(format!("db-{number}"), session, Arc::clone(&queue));
        threads.push(thread.map_err(|error| OpenError::Connect(format!("cannot start a thread: {error}")))?);
    }
    Ok(Workers::Threads { reads: Arc::clone(&queue), writes: queue, threads: Mutex::new(threads) })
}

//! Moves what was committed from the journal into the file, on a thread of its own: the writer would stall, and with it everybody who writes.
//!
//! It never waits for the writer or a reader, nor they for it; but all wait for one disk, so under load it moves many pages at a time. Once all is moved
//! that there is, the next commit begins the journal anew. Under a load that leaves no pause the writer has to move the last of it itself, when the journal
//! is long (`connect`): shortly before, this thread leaves little.

use super::connect::Source;
use crate::Conn;
use diesel::connection::SimpleConnection;
use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Transactions between two looks at the journal.
const EVERY: usize = 32;
/// If that many take this long, the disk has time: whatever there is, is moved.
const CALM: Duration = Duration::from_millis(100);
/// Pages that are worth the disk's time otherwise.
const WORTH: i32 = 512;
/// Pages of a journal that is nearly as long as it may be.
const LONG: i32 = 12_288;

/// The writer's end: the thread ends with it.
pub(super) struct Checkpoints {
    due: SyncSender<()>,
    transactions: usize,
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(source: Arc<Source>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (due, asked) = sync_channel(1);
        let thread = Builder::new().name("db-checkpoint".to_owned()).spawn(move || run(&source, &asked))?;
        Ok((Self { due, transactions: 0 }, thread))
    }

    /// So many transactions were committed.
    pub(super) fn committed(&mut self, transactions: usize) {
        self.transactions += transactions;
        if self.transactions >= EVERY {
            self.transactions = 0;
            // A look that is asked for already does for both.
            let _ = self.due.try_send(());
        }
    }
}

fn run(source: &Source, asked: &Receiver<()>) {
    let (mut conn, mut last) = (None, Instant::now());
    while asked.recv().is_ok() {
        let is_calm = last.elapsed() >= CALM;
        last = Instant::now();
        if conn.is_none() {
            conn = source.writing().map_err(|error| tracing::error!(%error, "no checkpoint")).ok();
        }
        let Some(open) = &mut conn else { continue };
        if let Err(error) = look(open, is_calm) {
            tracing::warn!(%error, "no checkpoint");
            conn = None;
        }
    }
}

/// What SQLite says of the journal, in pages; -1 if there is none.
#[derive(QueryableByName)]
struct Journal {
    #[diesel(sql_type = sql_types::Integer)]
    log: i32,
    #[diesel(sql_type = sql_types::Integer)]
    checkpointed: i32,
}

/// Makes a checkpoint, if it is worth it.
fn look(conn: &mut Conn, is_calm: bool) -> QueryResult<()> {
    let Conn::Sqlite(conn) = conn else { return Ok(()) };
    let Journal { log, checkpointed } = sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(conn)?;
    if is_calm || log >= LONG || log - checkpointed >= WORTH {
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    Ok(())
}

//! Moves what was committed from the journal into the file, on a thread of its own: the writer would stall, and with it everybody who writes.
//!
//! It seldom waits for the writer or a reader, nor they for it; but all wait for one disk, so under load it moves many pages at a time. Once all is moved
//! that there is, the next commit begins the journal anew. Under a load that leaves no pause the writer has to move the last of it itself, when the journal
//! is long (`connect`): shortly before, this thread leaves little. Neither can begin the journal anew while somebody reads from it, and reads that overlap
//! leave no moment for it: so at [`LONGEST`] writes wait until whoever reads has done.

use super::connect::Source;
use crate::Conn;
use diesel::connection::SimpleConnection;
use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types};
use std::path::PathBuf;
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
/// Pages of a journal that is nearly as long as the writer lets it become.
const LONG: i32 = 12_288;
/// Bytes. The journal's file is never longer, by more than one commit, unless a read takes longer than writes wait for it (a second): then by one commit
/// for each second of the read. A commit is what one transaction writes, or all of a group.
const LONGEST: u64 = 80 << 20;

/// The writer's end: the thread ends with it.
pub(super) struct Checkpoints {
    asks: SyncSender<Ask>,
    transactions: usize,
    journal: PathBuf,
}

enum Ask {
    /// Move what is worth it.
    Look,
    /// Move everything, wait for whoever reads from the journal so that it begins anew, and say so.
    Anew(SyncSender<()>),
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(source: Arc<Source>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (asks, asked) = sync_channel(1);
        let journal = source.journal();
        let thread = Builder::new().name("db-checkpoint".to_owned()).spawn(move || run(&source, &asked))?;
        Ok((Self { asks, transactions: 0, journal }, thread))
    }

    /// So many transactions were committed. Returns when the next may be.
    pub(super) fn committed(&mut self, transactions: usize) {
        if std::fs::metadata(&self.journal).is_ok_and(|journal| journal.len() >= LONGEST) {
            return self.anew();
        }
        self.transactions += transactions;
        if self.transactions >= EVERY {
            self.transactions = 0;
            // A look that is asked for already does for both.
            let _ = self.asks.try_send(Ask::Look);
        }
    }

    fn anew(&self) {
        let (done, is_done) = sync_channel(1);
        // Where the thread cannot, there is nothing to wait for.
        let _ = self.asks.send(Ask::Anew(done));
        let _ = is_done.recv();
    }
}

fn run(source: &Source, asked: &Receiver<Ask>) {
    let (mut conn, mut last) = (None, Instant::now());
    while let Ok(ask) = asked.recv() {
        let is_calm = last.elapsed() >= CALM;
        last = Instant::now();
        if conn.is_none() {
            conn = source.checkpointing().map_err(|error| tracing::error!(%error, "no checkpoint")).ok();
        }
        let Some(open) = &mut conn else { continue };
        let made = match ask {
            Ask::Look => look(open, is_calm),
            Ask::Anew(done) => anew(open).map(|()| _ = done.send(())),
        };
        if let Err(error) = made {
            tracing::warn!(%error, "no checkpoint");
            conn = None;
        }
    }
}

/// What SQLite says of the journal, in pages; -1 if there is none.
#[derive(QueryableByName)]
struct Journal {
    /// Whether something stood in the way of what was asked for.
    #[diesel(sql_type = sql_types::Integer)]
    busy: i32,
    #[diesel(sql_type = sql_types::Integer)]
    log: i32,
    #[diesel(sql_type = sql_types::Integer)]
    checkpointed: i32,
}

/// Makes a checkpoint, if it is worth it.
fn look(conn: &mut Conn, is_calm: bool) -> QueryResult<()> {
    let Conn::Sqlite(conn) = conn else { return Ok(()) };
    let Journal { log, checkpointed, .. } = sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(conn)?;
    if is_calm || log >= LONG || log - checkpointed >= WORTH {
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    Ok(())
}

/// Lets the next commit begin the journal anew.
fn anew(conn: &mut Conn) -> QueryResult<()> {
    let Conn::Sqlite(conn) = conn else { return Ok(()) };
    let Journal { busy, log, .. } = sql_query("PRAGMA wal_checkpoint(RESTART)").get_result(conn)?;
    if busy != 0 {
        tracing::warn!(pages = log, "a long read holds up writes: the journal cannot begin anew");
    }
    Ok(())
}

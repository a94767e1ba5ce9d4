//! Moves what was committed from the journal into the file, on a thread of its own: the writer would stall, and with it everybody who writes.
//!
//! It never waits for the writer or a reader, nor they for it. Once it has moved all there is, the next commit begins the journal anew.

use super::connect::{Source, execute};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Commits between two checkpoints: some thousand pages.
const EVERY: usize = 128;

/// The writer's end: the thread ends with it.
pub(super) struct Checkpoints {
    due: SyncSender<()>,
    commits: usize,
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(source: Arc<Source>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (due, asked) = sync_channel(1);
        let thread = Builder::new().name("db-checkpoint".to_owned()).spawn(move || run(&source, &asked))?;
        Ok((Self { due, commits: 0 }, thread))
    }

    /// So many transactions were committed.
    pub(super) fn committed(&mut self, transactions: usize) {
        self.commits += transactions;
        if self.commits >= EVERY {
            self.commits = 0;
            // One that is asked for already does for both.
            let _ = self.due.try_send(());
        }
    }
}

fn run(source: &Source, asked: &Receiver<()>) {
    let mut conn = None;
    while asked.recv().is_ok() {
        if conn.is_none() {
            conn = source.writing().map_err(|error| tracing::error!(%error, "no checkpoint")).ok();
        }
        let Some(open) = &mut conn else { continue };
        if let Err(error) = execute(open, "PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::warn!(%error, "no checkpoint");
            conn = None;
        }
    }
}

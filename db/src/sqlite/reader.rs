//! A thread that reads.

use super::connect::Source;
use super::limit;
use crate::job::{Job, Ran};
use crate::worker::Worker;
use crate::{Conn, Error, transaction};
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Reader {
    // Before the source, so that it is closed before the lock is given back.
    conn: Option<Conn>,
    source: Arc<Source>,
}

impl Reader {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { conn: None, source }
    }

    fn begin(&mut self) -> Option<&mut Conn> {
        if self.conn.is_none() {
            self.conn = self.source.reading().map_err(|error| tracing::error!(%error, "cannot read")).ok();
        }
        let conn = self.conn.as_mut()?;
        // Deferred: a snapshot from the first statement to the last, and no lock a writer would wait for.
        transaction::begin(conn, "BEGIN DEFERRED").map_err(|error| tracing::error!(%error, "cannot read")).ok()?;
        Some(conn)
    }

    fn one(&mut self, mut job: Box<dyn Job>) {
        if job.deadline() <= Instant::now() {
            return job.answer(Err(Error::Late));
        }
        let Some(conn) = self.begin() else {
            self.conn = None;
            return job.answer(Err(Error::Unavailable));
        };
        let until = job.deadline();
        let ran = limit::run(job.as_mut(), conn, Some(until));
        // Nothing to keep, so nobody needs to wait for the end.
        job.answer(if ran == Ran::Late { Err(Error::Late) } else { Ok(()) });
        if transaction::rollback_to(conn, 0).is_err() {
            self.conn = None;
        }
    }
}

impl Worker for Reader {
    fn is_connected(&self) -> bool {
        self.conn.is_some()
    }

    fn run(&mut self, jobs: Vec<Box<dyn Job>>) {
        for job in jobs {
            self.one(job);
        }
    }

    fn reset(&mut self) {
        self.conn = None;
    }
}

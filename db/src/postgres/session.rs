//! A thread's session: one transaction after another, over as many connections as it takes.

use super::conn::Fault;
use super::connect::Server;
use super::outage::Outage;
use super::runtime::apart;
use crate::job::{Access, Job, Ran};
use crate::worker::Worker;
use crate::{Conn, Error, transaction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two attempts at a transaction.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the server may be silent past a deadline of which it was told, before the connection is given up.
const GRACE: Duration = Duration::from_millis(500);
/// How often a closure is run, as long as its deadline allows.
const ATTEMPTS: u32 = 32;

pub(crate) struct Session {
    server: Arc<Server>,
    outage: Arc<Outage>,
    conn: Option<Conn>,
}

/// What is to be done after an attempt.
enum Next {
    Answer(Result<(), Error>),
    Again,
}

impl Session {
    pub(crate) fn new(server: Arc<Server>, outage: Arc<Outage>) -> Self {
        Self { server, outage, conn: None }
    }

    fn one(&mut self, mut job: Box<dyn Job>) {
        if job.deadline() <= Instant::now() {
            return job.answer(Err(Error::Late));
        }
        for _ in 0..ATTEMPTS {
            if !self.begin(job.as_ref()) {
                return job.answer(Err(Error::Unavailable));
            }
            let ran = self.attempt(job.as_mut());
            if job.access() == Access::Read && ran == Ran::Done {
                // Nothing to keep, so nobody needs to wait for the end.
                job.answer(Ok(()));
                return self.undo();
            }
            let next = match ran {
                Ran::Done => self.commit(job.as_ref()),
                Ran::Refused | Ran::Late => self.refused(job.as_ref()),
                Ran::Panicked => {
                    // A row may have been half read.
                    self.conn = None;
                    Next::Answer(Ok(()))
                }
            };
            match next {
                Next::Answer(verdict) => return job.answer(verdict),
                Next::Again => {
                    tracing::debug!(operation = job.name(), "a transaction is run again");
                    // The one we collided with is to get through first.
                    pause(job.deadline().saturating_duration_since(Instant::now()));
                }
            }
        }
        job.answer(Err(Error::Unavailable));
    }

    /// Begins a transaction, on a new connection if need be, as long as the deadline allows.
    fn begin(&mut self, job: &dyn Job) -> bool {
        loop {
            let fresh = self.conn.is_none();
            if fresh && !self.outage.leave(job.deadline()) {
                return false;
            }
            let tried = Instant::now();
            let left = job.deadline().saturating_duration_since(tried);
            if left.is_zero() {
                return false;
            }
            match self.try_begin(job, left) {
                Ok(()) => {
                    if fresh {
                        self.outage.is_over();
                    }
                    return true;
                }
                Err(cause) if fresh => self.outage.found(tried, &cause),
                // One that was lost while it lay idle is replaced at once.
                Err(cause) => tracing::debug!(%cause, operation = job.name(), "a connection to the database was lost"),
            }
            self.conn = None;
        }
    }

    fn try_begin(&mut self, job: &dyn Job, left: Duration) -> Result<(), String> {
        if self.conn.is_none() {
            self.conn = Some(Conn::Postgres(self.server.connect(job.deadline()).map_err(|refusal| refusal.cause)?));
        }
        let Some(conn) = &mut self.conn else { return Ok(()) };
        limit(conn, job.deadline() + GRACE);
        let how = match job.access() {
            Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Access::Write => "BEGIN",
        };
        // In one round trip. Rounded up: what it ends is to be late by our clock too, and zero would mean no time-out.
        let sql = format!("{how}; SET LOCAL statement_timeout = {}", left.as_millis() + 1);
        transaction::begin(conn, &sql).map_err(|error| error.to_string())?;
        // What an earlier closure got over is no business of this one.
        self.fault();
        Ok(())
    }

    fn attempt(&mut self, job: &mut dyn Job) -> Ran {
        match &mut self.conn {
            Some(conn) => job.run(conn),
            None => Ran::Panicked,
        }
    }

    /// After an `Err` of the closure.
    fn refused(&mut self, job: &dyn Job) -> Next {
        let fault = self.fault();
        self.undo();
        let lost = self.conn.is_none();
        let again = match fault {
            // A read that writes is a mistake in the program, not a server that was demoted.
            Fault::ReadOnly => job.access() == Access::Write,
            Fault::Conflict | Fault::Connection => true,
            // The server may give a reason before it ends the session.
            Fault::Other => lost,
            Fault::None => false,
        };
        let late = job.deadline() <= Instant::now();
        // The time-out we set has no kind of its own.
        if late && (again || fault == Fault::Other) {
            return Next::Answer(Err(Error::Late));
        }
        if !again {
            return Next::Answer(Ok(()));
        }
        if matches!(fault, Fault::ReadOnly | Fault::Connection) {
            self.conn = None;
        }
        Next::Again
    }

    /// After an `Ok` of the closure.
    fn commit(&mut self, job: &dyn Job) -> Next {
        let Some(Conn::Postgres(conn)) = &mut self.conn else { return Next::Answer(Err(Error::OutcomeUnknown)) };
        // A commit is given a moment even at the deadline: an unknown outcome is worse than a late one.
        conn.limit(Some(job.deadline().max(Instant::now()) + GRACE));
        let Err(error) = conn.commit() else { return Next::Answer(Ok(())) };
        let fault = self.fault();
        self.undo();
        if self.conn.is_none() {
            tracing::warn!(%error, operation = job.name(), "the outcome of a commit is unknown");
            return Next::Answer(Err(Error::OutcomeUnknown));
        }
        // The session lives, so the server refused the commit and has undone it.
        let late = job.deadline() <= Instant::now();
        match fault {
            Fault::Conflict if !late => Next::Again,
            Fault::Conflict => Next::Answer(Err(Error::Late)),
            _ => Next::Answer(Err(error.into())),
        }
    }

    fn fault(&mut self) -> Fault {
        match &mut self.conn {
            Some(Conn::Postgres(conn)) => conn.take_fault(),
            _ => Fault::None,
        }
    }

    /// Ends the transaction without keeping it; a connection on which that fails is thrown away.
    fn undo(&mut self) {
        if let Some(conn) = &mut self.conn
            && transaction::rollback_to(conn, 0).is_err()
        {
            self.conn = None;
        }
        self.fault();
    }
}

#[expect(clippy::disallowed_methods, reason = "a server that refuses gives nothing to wait on")]
fn pause(left: Duration) {
    std::thread::sleep(PAUSE.min(left));
}

fn limit(conn: &Conn, limit: Instant) {
    if let Conn::Postgres(conn) = conn {
        conn.limit(Some(limit));
    }
}

impl Worker for Session {
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

/// A session used from inside an asynchronous runtime: the caller's thread waits while another runs the job.
pub(crate) struct Apart(pub(crate) Session);

impl Worker for Apart {
    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    fn run(&mut self, jobs: Vec<Box<dyn Job>>) {
        apart(|| self.0.run(jobs));
    }

    fn reset(&mut self) {
        apart(|| self.0.reset());
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Closing the connection waits a moment for the runtime it brought along.
        self.reset();
    }
}

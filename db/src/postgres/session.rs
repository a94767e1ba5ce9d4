//! A thread's session: one transaction after another, over as many connections as it takes.

use super::conn::Fault;
use super::connect::Server;
use super::runtime::apart;
use crate::job::{Access, Job, Ran};
use crate::worker::Worker;
use crate::{Conn, Error, transaction};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the server may be silent past a deadline of which it was told, before the connection is given up.
const GRACE: Duration = Duration::from_millis(500);
/// How often a closure is run when others keep coming in between.
const ATTEMPTS: u32 = 8;

pub(crate) struct Session {
    server: Arc<Server>,
    conn: Option<Conn>,
}

/// What is to be done after an attempt.
enum Next {
    Answer(Result<(), Error>),
    Again,
}

impl Session {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, conn: None }
    }

    fn one(&mut self, mut job: Box<dyn Job>) {
        if job.deadline() <= Instant::now() {
            return job.answer(Err(Error::Late));
        }
        for attempt in 0..ATTEMPTS {
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
                Ran::Refused => self.refused(job.as_ref()),
                Ran::Panicked => {
                    // A row may have been half read.
                    self.conn = None;
                    Next::Answer(Ok(()))
                }
            };
            match next {
                Next::Answer(verdict) => return job.answer(verdict),
                Next::Again => tracing::debug!(operation = job.name(), attempt, "a transaction is run again"),
            }
        }
        job.answer(Err(Error::Unavailable));
    }

    /// Begins a transaction, on a new connection if need be, as long as the deadline allows.
    fn begin(&mut self, job: &dyn Job) -> bool {
        loop {
            let left = job.deadline().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if self.conn.is_none() {
                match self.server.connect(Some(job.deadline())) {
                    Ok(conn) => self.conn = Some(Conn::Postgres(conn)),
                    Err(cause) => {
                        tracing::warn!(%cause, "cannot connect to the database");
                        pause(left);
                        continue;
                    }
                }
            }
            if let Some(conn) = &mut self.conn {
                limit(conn, job.deadline() + GRACE);
                let how = match job.access() {
                    Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    Access::Write => "BEGIN READ WRITE",
                };
                // In one round trip. Zero would mean no time-out at all.
                let millis = left.as_millis().max(1);
                let sql = format!("{how}; SET LOCAL statement_timeout = {millis}");
                match transaction::begin(conn, &sql) {
                    Ok(()) => return true,
                    Err(error) => tracing::debug!(%error, "a connection is replaced"),
                }
            }
            self.conn = None;
        }
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
        let late = job.deadline() <= Instant::now();
        match fault {
            Fault::None => Next::Answer(Ok(())),
            // The time-out we set ended it.
            Fault::Other if late => Next::Answer(Err(Error::Late)),
            Fault::Other => Next::Answer(Ok(())),
            Fault::Conflict | Fault::Connection => {
                if fault == Fault::Connection {
                    self.conn = None;
                }
                if late { Next::Answer(Err(Error::Late)) } else { Next::Again }
            }
        }
    }

    /// After an `Ok` of the closure.
    fn commit(&mut self, job: &dyn Job) -> Next {
        let Some(Conn::Postgres(conn)) = &mut self.conn else { return Next::Answer(Err(Error::OutcomeUnknown)) };
        // A commit is given a moment even at the deadline: an unknown outcome is worse than a late one.
        conn.limit(job.deadline().max(Instant::now()) + GRACE);
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

#[expect(clippy::disallowed_methods, reason = "a server that refuses connections gives nothing to wait on")]
fn pause(left: Duration) {
    std::thread::sleep(PAUSE.min(left));
}

fn limit(conn: &Conn, limit: Instant) {
    if let Conn::Postgres(conn) = conn {
        conn.limit(limit);
    }
}

impl Worker for Session {
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

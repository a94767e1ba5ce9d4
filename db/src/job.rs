//! A closure on its way to a thread and back.

use crate::figures::{End, Figures};
use crate::{Conn, Error};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a job may do to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// How a closure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It returned `Ok`: its transaction is to be kept.
    Done,
    /// It returned `Err`: its transaction is to be undone.
    Refused,
    /// Its deadline passed before it began, or under a statement on SQLite, and it returned `Err`: its transaction is to be undone.
    Late,
    /// It panicked: its transaction is to be undone.
    Panicked,
}

/// A closure, whatever it returns.
pub(crate) trait Job: Send {
    fn name(&self) -> &'static str;
    fn access(&self) -> Access;
    /// When it is too late to begin, and for a statement to go on.
    fn deadline(&self) -> Instant;
    /// Runs the closure and keeps what it returned. May be called again after the transaction was undone.
    fn run(&mut self, conn: &mut Conn) -> Ran;
    /// Tells the caller what the closure returned (`Ok`), or what happened to it (`Err`).
    fn answer(self: Box<Self>, verdict: Result<(), Error>);
}

/// What the caller gets back.
pub(crate) struct Answer<T, E> {
    pub(crate) result: Result<T, E>,
    pub(crate) queued: Duration,
    pub(crate) engine: Duration,
}

/// The one kind of job.
pub(crate) struct Task<T, E, F> {
    name: &'static str,
    access: Access,
    deadline: Instant,
    handed_in: Instant,
    started: Option<Instant>,
    closure: F,
    returned: Option<Result<T, E>>,
    caller: oneshot::Sender<Answer<T, E>>,
    figures: Arc<Figures>,
}

impl<T, E, F> Task<T, E, F> {
    pub(crate) fn new(
        access: Access,
        name: &'static str,
        left: Duration,
        closure: F,
        figures: Arc<Figures>,
    ) -> (Self, oneshot::Receiver<Answer<T, E>>) {
        let (caller, answer) = oneshot::channel();
        let handed_in = Instant::now();
        let deadline = handed_in + left;
        let task = Self { name, access, deadline, handed_in, started: None, closure, returned: None, caller, figures };
        (task, answer)
    }
}

impl<T, E, F> Job for Task<T, E, F>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnMut(&mut Conn) -> Result<T, E> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn access(&self) -> Access {
        self.access
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn run(&mut self, conn: &mut Conn) -> Ran {
        self.started.get_or_insert_with(Instant::now);
        self.returned = None;
        // The connection is set right by whoever called us; what the closure captured is its own affair.
        let closure = AssertUnwindSafe(|| (self.closure)(conn));
        let Ok(returned) = catch_unwind(closure) else { return Ran::Panicked };
        let ran = if returned.is_ok() { Ran::Done } else { Ran::Refused };
        self.returned = Some(returned);
        ran
    }

    fn answer(self: Box<Self>, verdict: Result<(), Error>) {
        let end = match (&verdict, &self.returned) {
            (Ok(()), Some(Ok(_))) => End::Done,
            (Ok(()), Some(Err(_))) => End::Refused,
            (Ok(()), None) => End::Panicked,
            (Err(error), _) => End::from(error),
        };
        let result = match (verdict, self.returned) {
            (Ok(()), Some(returned)) => returned,
            (Ok(()), None) => Err(Error::Panicked.into()),
            (Err(error), _) => Err(error.into()),
        };
        let started = self.started.unwrap_or_else(Instant::now);
        let (queued, engine) = (started.duration_since(self.handed_in), started.elapsed());
        self.figures.ended(self.name, end, queued, engine);
        // A caller that has gone does not want to know.
        let _ = self.caller.send(Answer { result, queued, engine });
    }
}

//! The one thread that writes.

use super::checkpoint::Checkpoints;
use super::connect::Source;
use super::group::{self, End, Member};
use crate::figures::Figures;
use crate::job::{Access, Job, Ran};
use crate::worker::Worker;
use crate::{Conn, Error, Options, transaction};
use diesel::result::Error as DieselError;
use std::sync::Arc;
use std::time::Instant;

/// The most writes that are committed as one.
const GROUP: usize = 64;

pub(crate) struct Writer {
    // Before the source, so that it is closed before the lock is given back.
    conn: Option<Conn>,
    source: Arc<Source>,
    /// Whether closures are run where time may stand still.
    inline: bool,
    figures: Arc<Figures>,
    /// `None` where one thread does everything.
    checkpoints: Option<Checkpoints>,
}

impl Writer {
    pub(crate) fn new(source: Arc<Source>, conn: Conn, options: &Options, figures: Arc<Figures>) -> Self {
        Self { conn: Some(conn), source, inline: options.inline, figures, checkpoints: None }
    }

    /// The same, with a thread that makes the checkpoints.
    pub(crate) fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        Self { checkpoints: Some(checkpoints), ..self }
    }

    fn group(&mut self, jobs: Vec<Box<dyn Job>>) {
        let mut members = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.deadline() <= Instant::now() {
                job.answer(Err(Error::Late));
            } else {
                let until = (!self.inline).then(|| job.deadline());
                members.push(Member::new(job, until));
            }
        }
        if members.is_empty() {
            return;
        }
        let Some(conn) = self.connected() else {
            return members.into_iter().for_each(|member| member.job.answer(Err(Error::Unavailable)));
        };
        let end = group::run(conn, &mut members);
        if !matches!(end, End::Committed) {
            self.reset();
        }
        match end {
            End::Committed => {
                let transactions = members.len();
                self.figures.committed(transactions);
                members.into_iter().for_each(kept);
                // After the answers: it may wait.
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.committed(transactions);
                }
            }
            End::Undone(error) => self.undone(members, error),
            End::Unknown => members.into_iter().for_each(unknown),
        }
    }

    fn connected(&mut self) -> Option<&mut Conn> {
        if self.conn.is_none() {
            self.conn = self.source.writing().map_err(|error| tracing::error!(%error, "cannot write")).ok();
        }
        self.conn.as_mut()
    }

    /// One of several spoilt it for all: each gets a transaction of its own, which shows whose fault it was.
    fn undone(&mut self, members: Vec<Member>, error: DieselError) {
        let alone = members.len() == 1;
        let mut error = Some(error);
        for Member { job, ran, torn, .. } in members {
            match ran {
                // It returned `Ok` after SQLite had ended the transaction under it: what it did then may be kept.
                Some(Ran::Done) if torn => job.answer(Err(Error::OutcomeUnknown)),
                Some(Ran::Late) => job.answer(Err(Error::Late)),
                _ if !alone => self.group(vec![job]),
                Some(Ran::Refused | Ran::Panicked) => job.answer(Ok(())),
                Some(Ran::Done) => job.answer(Err(error.take().map_or(Error::Unavailable, Error::from))),
                None => job.answer(Err(Error::Unavailable)),
            }
        }
    }
}

fn kept(member: Member) {
    let is_late = member.ran == Some(Ran::Late);
    member.job.answer(if is_late { Err(Error::Late) } else { Ok(()) });
}

fn unknown(member: Member) {
    // A refusal may rest on what another had written in the same group.
    let done = member.ran == Some(Ran::Done) && member.job.access() == Access::Write;
    member.job.answer(Err(if done { Error::OutcomeUnknown } else { Error::Unavailable }));
}

impl Worker for Writer {
    fn most(&self) -> usize {
        GROUP
    }

    fn is_connected(&self) -> bool {
        self.conn.is_some()
    }

    fn run(&mut self, jobs: Vec<Box<dyn Job>>) {
        self.group(jobs);
    }

    fn reset(&mut self) {
        if !self.source.in_memory() {
            // What was left open is undone with the connection.
            self.conn = None;
        } else if let Some(conn) = &mut self.conn {
            // The data would go with the connection.
            let _ = transaction::rollback_to(conn, 0);
        }
    }
}

//! The handle.

use crate::figures::Figures;
use crate::job::{Access, Answer, Task};
use crate::opening::{self, Waiting};
use crate::work::Sample;
use crate::worker::Workers;
use crate::{Conn, Error, Fate, Faults, Migrations, OpenError, Options};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Span, field::Empty};

/// A database. Cloning it gives another handle on the same one.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    workers: Workers,
    /// What OpenTelemetry calls the engine.
    system: &'static str,
    patience: Duration,
    deadline: fn() -> Option<Instant>,
    faults: Faults,
    figures: Arc<Figures>,
    waiting: Waiting,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The threads end by themselves once they have worked off what they have.
        self.workers.close();
    }
}

impl Db {
    /// Opens the database and brings it up to date, under a lock, so that any number of programs may start at once.
    /// A server that cannot be reached is waited for, [`Options::wait`] long; dropping the future ends that.
    ///
    /// # Errors
    /// [`OpenError`]: among others when another process has the SQLite file, the server refuses the password, or the
    /// database is newer than the program.
    pub async fn open(options: Options, migrations: Migrations) -> Result<Self, OpenError> {
        let options = options.bounded();
        let (patience, deadline, faults) = (options.patience, options.deadline, options.faults.clone());
        let system = if options.url.starts_with("sqlite:") { "sqlite" } else { "postgresql" };
        let figures = Arc::new(Figures::new());
        let waiting = Waiting::new(options.wait);
        let workers = opening::open(options, migrations, Arc::clone(&figures), waiting).await?;
        Ok(Self { shared: Arc::new(Shared { workers, system, patience, deadline, faults, figures, waiting }) })
    }

    /// Runs `f` in a transaction that sees one state of the data and may not change it. `name` tells it apart in
    /// traces and histograms. `f` may be run again if the connection is lost.
    ///
    /// # Errors
    /// What `f` returned, or an [`Error`] turned into it.
    pub async fn read<T, E>(
        &self,
        name: &'static str,
        f: impl FnMut(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let span = tracing::debug_span!(
            "db.read",
            operation = name,
            system = self.shared.system,
            queue_us = Empty,
            engine_us = Empty,
            ok = Empty
        );
        self.run(Access::Read, name, span, f).await
    }

    /// Runs `f` in one transaction, and answers when it is durable; an `Err` of `f` undoes it. `name` tells it apart in
    /// traces and histograms. `f` may be run again while nothing of it can have been committed.
    ///
    /// A caller that stops waiting does not stop the transaction.
    ///
    /// # Errors
    /// What `f` returned, or an [`Error`] turned into it.
    pub async fn write<T, E>(
        &self,
        name: &'static str,
        f: impl FnMut(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let span = tracing::debug_span!(
            "db.write",
            operation = name,
            system = self.shared.system,
            queue_us = Empty,
            engine_us = Empty,
            ok = Empty
        );
        self.run(Access::Write, name, span, f).await
    }

    /// Does what a program cannot start without: `ask` again and again while `is_away` says of its error that the server was away. It is waited for as at the
    /// opening, and no longer in all.
    ///
    /// # Errors
    /// The last of `ask`.
    pub async fn at_the_start<T, E: Display, F: Future<Output = Result<T, E>>>(
        &self,
        ask: impl Fn() -> F,
        is_away: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let mut waiting = self.shared.waiting;
        loop {
            match ask().await {
                Err(error) if is_away(&error) && waiting.again(&error).await => {}
                done => return done,
            }
        }
    }

    /// Whether a transaction can be begun: the server is there, and lets this program in.
    ///
    /// # Errors
    /// Why not.
    pub async fn reachable(&self) -> Result<(), Error> {
        self.read("reachable", |_| Ok::<_, Error>(())).await
    }

    /// What was counted of the transactions, their waiting and the connections, as the database of `service`: names under which Prometheus gets them.
    /// One whose name ends in `_bucket`, `_sum` or `_count` is part of a histogram.
    #[must_use]
    pub fn samples(&self, service: &'static str) -> Vec<Sample> {
        self.shared.figures.samples(service, self.shared.system, &self.shared.workers.waiting())
    }

    async fn run<T, E>(
        &self,
        access: Access,
        name: &'static str,
        span: Span,
        f: impl FnMut(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (fate, left) = (self.shared.faults.fate(name), self.left());
        match fate {
            Fate::Run | Fate::Lose | Fate::Slow(_) => {}
            Fate::Refuse => return Err(Error::Unavailable.into()),
            Fate::Late(time) => tokio::time::sleep(time).await,
        }
        let (task, answer) = Task::new(access, name, left, f, Arc::clone(&self.shared.figures));
        self.shared.workers.submit(Box::new(task));
        // A job that was dropped unanswered was in the hands of a worker that died.
        let Ok(Answer { result, queued, engine }) = answer.await else { return Err(Error::OutcomeUnknown.into()) };
        let (queue_us, engine_us, ok) = (micros(queued), micros(engine), result.is_ok());
        span.record("queue_us", queue_us).record("engine_us", engine_us).record("ok", ok);
        match access {
            Access::Read => tracing::debug!(parent: &span, operation = name, queue_us, engine_us, ok, "db.read"),
            Access::Write => tracing::debug!(parent: &span, operation = name, queue_us, engine_us, ok, "db.write"),
        }
        match fate {
            Fate::Lose => return Err(Error::OutcomeUnknown.into()),
            Fate::Slow(time) => tokio::time::sleep(time).await,
            Fate::Run | Fate::Refuse | Fate::Late(_) => {}
        }
        result
    }

    /// What is left for a job handed in now. Asked in tokio's time, which tests may have paused.
    fn left(&self) -> Duration {
        (self.shared.deadline)().map_or(self.shared.patience, |deadline| {
            deadline.saturating_duration_since(Instant::now()).min(self.shared.patience)
        })
    }

    /// Takes no more jobs, waits until those handed in are answered, and closes the connections; other handles on the
    /// same database get [`Error::Unavailable`] from then on.
    pub async fn close(self) {
        let threads = self.shared.workers.close();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has said so already.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

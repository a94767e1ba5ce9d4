//! The handle.

use crate::job::{Access, Answer, Task};
use crate::worker::Workers;
use crate::{Conn, Error, Fate, Faults, Migrations, OpenError, Options, postgres, sqlite};
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
    patience: Duration,
    deadline: fn() -> Option<Instant>,
    faults: Faults,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The threads end by themselves once they have worked off what they have.
        self.workers.close();
    }
}

impl Db {
    /// Opens the database and brings it up to date, under a lock, so that any number of programs may start at once.
    ///
    /// # Errors
    /// [`OpenError`]: among others when another process has the SQLite file, or when the database is newer than the
    /// program.
    pub async fn open(options: Options, migrations: Migrations) -> Result<Self, OpenError> {
        let options = options.bounded();
        let (patience, deadline, inline) = (options.patience, options.deadline, options.inline);
        let faults = options.faults.clone();
        let workers = if inline {
            open(&options, &migrations)?
        } else {
            tokio::task::spawn_blocking(move || open(&options, &migrations))
                .await
                .unwrap_or_else(|panic| Err(OpenError::Connect(panic.to_string())))?
        };
        Ok(Self { shared: Arc::new(Shared { workers, patience, deadline, faults }) })
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
        let span = tracing::debug_span!("db.read", operation = name, queue_us = Empty, engine_us = Empty, ok = Empty);
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
        let span = tracing::debug_span!("db.write", operation = name, queue_us = Empty, engine_us = Empty, ok = Empty);
        self.run(Access::Write, name, span, f).await
    }

    /// Whether a transaction can be begun: the server is there, and lets this program in.
    ///
    /// # Errors
    /// Why not.
    pub async fn reachable(&self) -> Result<(), Error> {
        self.read("reachable", |_| Ok::<_, Error>(())).await
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
        let fate = self.shared.faults.fate(name);
        if fate == Fate::Refuse {
            return Err(Error::Unavailable.into());
        }
        let (task, answer) = Task::new(access, name, self.left(), f);
        self.shared.workers.submit(Box::new(task));
        // A job that was dropped unanswered was in the hands of a worker that died.
        let Ok(Answer { result, queued, engine }) = answer.await else { return Err(Error::OutcomeUnknown.into()) };
        let (queue_us, engine_us, ok) = (micros(queued), micros(engine), result.is_ok());
        span.record("queue_us", queue_us).record("engine_us", engine_us).record("ok", ok);
        match access {
            Access::Read => tracing::debug!(parent: &span, operation = name, queue_us, engine_us, ok, "db.read"),
            Access::Write => tracing::debug!(parent: &span, operation = name, queue_us, engine_us, ok, "db.write"),
        }
        if fate == Fate::Lose { Err(Error::OutcomeUnknown.into()) } else { result }
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

fn open(options: &Options, migrations: &Migrations) -> Result<Workers, OpenError> {
    crate::migrate::same_names(migrations)?;
    if let Some(path) = options.url.strip_prefix("sqlite:") {
        sqlite::open(path, options, migrations)
    } else if options.url.starts_with("postgres://") || options.url.starts_with("postgresql://") {
        postgres::open(options, migrations)
    } else {
        let scheme = options.url.split(':').next().filter(|rest| rest.len() < options.url.len());
        Err(OpenError::Url(scheme.map_or_else(|| "it has no scheme".to_owned(), |s| format!("its scheme is {s:?}"))))
    }
}

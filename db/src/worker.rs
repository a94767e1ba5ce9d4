//! Who works jobs off: threads of their own, or the calling thread.

use crate::figures::Figures;
use crate::job::{Access, Job};
use crate::queue::Queue;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The owner of one connection.
pub(crate) trait Worker: Send {
    /// How many jobs it can use at once.
    fn most(&self) -> usize {
        1
    }

    /// Whether it has a connection.
    fn is_connected(&self) -> bool;

    /// Runs and answers every job.
    fn run(&mut self, jobs: Vec<Box<dyn Job>>);

    /// Throws the connection away: after a panic outside a closure nothing is known about it.
    fn reset(&mut self);
}

/// The workers of a database.
pub(crate) enum Workers {
    /// Threads, with a queue for reads and one for writes (on PostgreSQL it is the same).
    Threads { reads: Arc<Queue>, writes: Arc<Queue>, threads: Mutex<Vec<JoinHandle<()>>> },
    /// The calling thread, one job at a time.
    Inline(Mutex<Option<Box<dyn Worker>>>),
}

impl Workers {
    /// Gives a job to a worker. When it runs inline, it has been answered on return.
    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        match self {
            Self::Threads { reads, .. } if job.access() == Access::Read => reads.push(job),
            Self::Threads { writes, .. } => writes.push(job),
            Self::Inline(worker) => match worker.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(worker) => guarded(worker.as_mut(), vec![job]),
                None => job.answer(Err(crate::Error::Unavailable)),
            },
        }
    }

    /// How many jobs wait in each queue.
    pub(crate) fn waiting(&self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Threads { reads, writes, .. } if Arc::ptr_eq(reads, writes) => vec![("all", writes.len())],
            Self::Threads { reads, writes, .. } => vec![("read", reads.len()), ("write", writes.len())],
            Self::Inline(_) => Vec::new(),
        }
    }

    /// Takes no more jobs, and gives back the threads which still work off those they have.
    pub(crate) fn close(&self) -> Vec<JoinHandle<()>> {
        match self {
            Self::Threads { reads, writes, threads } => {
                reads.close();
                writes.close();
                std::mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Self::Inline(worker) => {
                worker.lock().unwrap_or_else(PoisonError::into_inner).take();
                Vec::new()
            }
        }
    }
}

/// Starts a thread for a worker, which ends when the queue is closed and empty.
pub(crate) fn start(
    name: String,
    mut worker: Box<dyn Worker>,
    queue: Arc<Queue>,
    figures: Arc<Figures>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(move || {
        let mut connected = worker.is_connected();
        figures.connected(false, connected);
        while let Some(jobs) = queue.take(worker.most()) {
            guarded(worker.as_mut(), jobs);
            let before = std::mem::replace(&mut connected, worker.is_connected());
            figures.connected(before, connected);
        }
        figures.connected(connected, false);
    })
}

/// A panic in a closure is caught where it is run; this is for all else (a `Drop` or a `From` of a caller's types).
fn guarded(worker: &mut dyn Worker, jobs: Vec<Box<dyn Job>>) {
    if catch_unwind(AssertUnwindSafe(|| worker.run(jobs))).is_err() {
        tracing::error!("a panic outside a transaction's closure: the connection is replaced");
        worker.reset();
    }
}

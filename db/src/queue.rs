//! A bounded queue which gives out as many jobs at once as a worker can use.

use crate::Error;
use crate::job::Job;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs waiting for a worker.
pub(crate) struct Queue {
    bound: usize,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Job>>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, state: Mutex::default(), news: Condvar::new() }
    }

    /// Puts a job in; a full or closed queue answers it at once.
    pub(crate) fn push(&self, job: Box<dyn Job>) {
        let mut state = self.lock();
        let refusal = if state.closed {
            Error::Unavailable
        } else if state.waiting.len() >= self.bound {
            Error::Full
        } else {
            state.waiting.push_back(job);
            drop(state);
            self.news.notify_one();
            return;
        };
        drop(state);
        job.answer(Err(refusal));
    }

    /// Waits for jobs and takes up to `most`; `None` when the queue is closed and empty.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<Box<dyn Job>>> {
        let mut state = self.lock();
        loop {
            if !state.waiting.is_empty() {
                let count = most.min(state.waiting.len());
                return Some(state.waiting.drain(..count).collect());
            }
            if state.closed {
                return None;
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes no more jobs; those inside are still worked off.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

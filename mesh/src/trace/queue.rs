//! Spans that have ended, on their way to whoever sends them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::otlp::{Resource, spans::Span};

/// A span, and the service that it is of.
pub(crate) type Ended = (Arc<Resource>, Span);

/// A bounded queue, for which no call waits: what finds it full is dropped, and counted.
pub(crate) struct Queue {
    spans: mpsc::Sender<Ended>,
    dropped: AtomicU64,
}

impl Queue {
    /// A queue for so many spans, and its other end.
    pub(crate) fn new(capacity: usize) -> (Arc<Self>, mpsc::Receiver<Ended>) {
        let (spans, ended) = mpsc::channel(capacity);
        (Arc::new(Self { spans, dropped: AtomicU64::new(0) }), ended)
    }

    pub(super) fn put(&self, resource: Arc<Resource>, span: Span) {
        if self.spans.try_send((resource, span)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

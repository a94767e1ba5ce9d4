//! Sends the spans of a process that have ended.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tonic::{Code, Status};

use super::{Collector, Tally};
use crate::{
    backoff::{Backoff, Growth},
    clock::Random,
    otlp::{
        Resource, SCHEMA, Scope,
        spans::{EXPORT, Request, ResourceSpans, ScopeSpans, Span},
    },
    shutdown::Shutdown,
    trace::Ended,
};

/// The most spans of one request, and how long the first of them waits for others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// How long a request is sent again before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSES: Growth = Growth { first: Duration::from_millis(500), factor: 2.0, longest: Duration::from_secs(5) };

type Batch = Vec<Ended>;

/// Sends one batch after the other.
pub(super) struct Sender {
    pub(super) collector: Collector,
    pub(super) tally: Arc<Tally>,
    pub(super) random: Random,
}

impl Sender {
    /// Until `stop`, and then until the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Ended>, stop: Shutdown) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = gather(&mut queue, &mut batch) => {}
                () = stop.begun() => {
                    queue.close();
                    queue.recv_many(&mut batch, BATCH).await;
                }
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(std::mem::take(&mut batch)).await;
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        let count = batch.len() as u64;
        let delivered = timeout(PATIENCE, self.persist(request(batch))).await;
        let answer = delivered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        match &answer {
            Ok(rejected) => {
                self.tally.sent.fetch_add(count.saturating_sub(*rejected), Relaxed);
                self.tally.failed.fetch_add(*rejected, Relaxed);
            }
            Err(_) => drop(self.tally.failed.fetch_add(count, Relaxed)),
        }
        self.collector.log("spans", &answer);
    }

    /// Sends a request until it is taken, or is refused for good. Returns how many spans were rejected.
    async fn persist(&mut self, request: Request) -> Result<u64, Status> {
        let mut pauses = Backoff::new(PAUSES);
        loop {
            match self.collector.export(EXPORT, request.clone()).await {
                Err(status) if may_pass(status.code()) => sleep(pauses.next(&self.random)).await,
                answer => return answer,
            }
        }
    }
}

/// Waits for spans, and then a little for more.
async fn gather(queue: &mut mpsc::Receiver<Ended>, batch: &mut Batch) {
    queue.recv_many(batch, BATCH).await;
    let fill = async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    // What came by then goes.
    let _ = timeout(LINGER, fill).await;
}

/// The spans of each service stand together.
fn request(batch: Batch) -> Request {
    let mut by_service: Vec<(Arc<Resource>, Vec<Span>)> = Vec::new();
    for (resource, span) in batch {
        match by_service.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &resource)) {
            Some((_, spans)) => spans.push(span),
            None => by_service.push((resource, vec![span])),
        }
    }
    let spans_of = |(resource, spans): (Arc<Resource>, _)| ResourceSpans {
        resource: Some((*resource).clone()),
        scope_spans: vec![ScopeSpans { scope: Some(Scope::own()), spans }],
        schema_url: SCHEMA.to_owned(),
    };
    Request { resource_spans: by_service.into_iter().map(spans_of).collect() }
}

/// What the specification of OTLP/gRPC has sent again. RESOURCE_EXHAUSTED it has only with a time to come back in; the pause here is longer than most.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            // What tonic calls a connection that was lost.
            | Code::Unknown
    )
}

//! A process's way to a collector: a bounded queue of spans, and one task that sends what is in it; and another that tells metrics now and then. A call
//! waits for neither: what finds the queue full is dropped, and counted.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status};

use super::{Tracer, tracer::Inner};
use crate::{
    admin::Admin,
    backoff::{Backoff, Growth},
    clock::{Clock, Draws, Random},
    metrics::{Page, Push, Pushes, Teller},
    otlp::{
        Collector, Resource, SCHEMA, Scope,
        spans::{EXPORT, Request, ResourceSpans, ScopeSpans, Span},
    },
    shutdown::Shutdown,
    telemetry::{Outsiders, TelemetryConfig, TelemetryError},
};

/// The most spans of one request, and how long the first of them waits for others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// How long a request is sent again before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSES: Growth = Growth { first: Duration::from_millis(500), factor: 2.0, longest: Duration::from_secs(5) };
/// How long the end of a process waits for its last spans and metrics.
const FLUSH: Duration = Duration::from_secs(2);

/// The spans and metrics of a process, on their way to a collector or nowhere. Clones are one.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Process>>);

struct Process {
    config: TelemetryConfig,
    clock: Clock,
    random: Random,
    began: SystemTime,
    instance: String,
    exporter: Arc<Exporter>,
    pushes: Arc<Pushes>,
    stop: Shutdown,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What spans are handed to.
pub(super) struct Exporter {
    queue: mpsc::Sender<(Arc<Resource>, Span)>,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Telemetry {
    /// Nothing is traced.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to send, in a task of its own, to where `config` says; nothing if it says nowhere. The collector need not be there.
    ///
    /// # Errors
    /// A setting out of its bounds; the text names it.
    pub fn start(config: &TelemetryConfig, clock: Clock, random: Random) -> Result<Self, TelemetryError> {
        let Some(collector) = Collector::new(config, &clock)? else { return Ok(Self::off()) };
        let (queue, spans) = mpsc::channel(config.queue);
        let counts = || AtomicU64::new(0);
        let exporter = Arc::new(Exporter { queue, sent: counts(), dropped: counts(), failed: counts() });
        let stop = Shutdown::manual();
        let sender = Sender { collector, exporter: Arc::clone(&exporter), random: random.clone() };
        let tasks = Mutex::new(vec![tokio::spawn(sender.run(spans, stop.clone()))]);
        let (began, instance) = (clock.now(), crate::uuid_v7(&clock, &random).to_string());
        Ok(Self(Some(Arc::new(Process {
            config: config.clone(),
            clock,
            random,
            began,
            instance,
            exporter,
            pushes: Arc::default(),
            stop,
            tasks,
        }))))
    }

    /// Traces into the hands of a test, which finds every span that has ended.
    #[cfg(test)]
    pub(crate) fn captured(ratio: f64, outsiders: Outsiders) -> (Self, super::tests::Captured) {
        let (queue, spans) = mpsc::channel(1000);
        let counts = || AtomicU64::new(0);
        let exporter = Arc::new(Exporter { queue, sent: counts(), dropped: counts(), failed: counts() });
        let (endpoint, roots, headers) = Default::default();
        let config = TelemetryConfig { endpoint, roots, headers, ratio, queue: 1000, outsiders, metrics_seconds: 0 };
        let (began, random) = (SystemTime::UNIX_EPOCH, Random::seeded(1));
        let (clock, instance, pushes) = (Clock::simulated(began), String::new(), Arc::default());
        let (stop, tasks) = (Shutdown::manual(), Mutex::default());
        let process = Process { config, clock, random, began, instance, exporter, pushes, stop, tasks };
        (Self(Some(Arc::new(process))), super::tests::Captured(spans))
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Makes the spans of the service `name`.
    pub fn tracer(&self, name: &str) -> Tracer {
        let Some(process) = &self.0 else { return Tracer::off() };
        // 2^56 at a ratio of 0, which no 56 bits reach.
        let threshold = ((1.0 - process.config.ratio) * (1_u64 << 56) as f64) as u64;
        Tracer::new(Inner {
            clock: process.clock.clone(),
            draws: Draws::new(&process.random),
            threshold,
            believes_outsiders: process.config.outsiders == Outsiders::Accept,
            resource: Arc::new(Resource::of(name, &process.instance)),
            exporter: Arc::clone(&process.exporter),
        })
    }

    /// Begins to tell the collector what `admin` tells, in a task of its own. What belongs to no service of the process is told of `name`.
    ///
    /// # Errors
    /// The authorities that the collector is believed by cannot be read any more.
    pub fn push(&self, name: &'static str, admin: &Admin) -> Result<(), TelemetryError> {
        let Some(process) = &self.0 else { return Ok(()) };
        let period = Duration::from_secs(process.config.metrics_seconds);
        let Some(collector) = Collector::new(&process.config, &process.clock)?.filter(|_| !period.is_zero()) else {
            return Ok(());
        };
        let teller =
            Teller { name, instance: process.instance.clone(), clock: process.clock.clone(), began: process.began };
        let push = Push::new(collector, admin.clone(), teller, Arc::clone(&process.pushes));
        let task = tokio::spawn(push.run(period, process.stop.clone()));
        process.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(())
    }

    /// Sends what is waiting, for 2 s at most, and nothing after that: for the end of a process.
    pub async fn flush(&self) {
        let Some(process) = &self.0 else { return };
        process.stop.begin();
        let mut tasks = std::mem::take(&mut *process.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            for task in &mut tasks {
                let _ = task.await;
            }
        };
        if timeout(FLUSH, ended).await.is_err() {
            tasks.iter().for_each(JoinHandle::abort);
            tracing::warn!("the last spans and metrics were not sent in time");
        }
    }

    /// Writes what became of the spans and the metrics.
    pub(crate) fn write(&self, page: &mut Page) {
        let Some(process) = &self.0 else { return };
        let Exporter { sent, dropped, failed, .. } = &*process.exporter;
        for (outcome, count) in [("sent", sent), ("dropped", dropped), ("failed", failed)] {
            let help = "Spans by what became of them: dropped for want of room, or not taken by the collector.";
            page.counter("plaza_telemetry_spans_total", help, &[("outcome", outcome)], count.load(Relaxed) as f64);
        }
        process.pushes.write(page);
    }
}

impl Exporter {
    pub(super) fn keep(&self, resource: Arc<Resource>, span: Span) {
        if self.queue.try_send((resource, span)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

type Spans = Vec<(Arc<Resource>, Span)>;

/// Sends one batch after the other.
struct Sender {
    collector: Collector,
    exporter: Arc<Exporter>,
    random: Random,
}

impl Sender {
    /// Until `stop`, and then until the queue is empty.
    async fn run(mut self, mut queue: mpsc::Receiver<(Arc<Resource>, Span)>, stop: Shutdown) {
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

    async fn deliver(&mut self, batch: Spans) {
        let count = batch.len() as u64;
        let delivered = timeout(PATIENCE, self.persist(request(batch))).await;
        let answer = delivered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        match &answer {
            Ok(rejected) => {
                self.exporter.sent.fetch_add(count.saturating_sub(*rejected), Relaxed);
                self.exporter.failed.fetch_add(*rejected, Relaxed);
            }
            Err(_) => drop(self.exporter.failed.fetch_add(count, Relaxed)),
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
async fn gather(queue: &mut mpsc::Receiver<(Arc<Resource>, Span)>, batch: &mut Spans) {
    queue.recv_many(batch, BATCH).await;
    let fill = async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    // What came by then goes.
    let _ = timeout(LINGER, fill).await;
}

/// The spans of each service stand together.
fn request(batch: Spans) -> Request {
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

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Telemetry(on)" } else { "Telemetry(off)" })
    }
}

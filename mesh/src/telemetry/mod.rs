//! A process's way to a collector: one task sends the spans that have ended, and another tells metrics now and then. A call waits for neither.

mod collector;
mod config;
mod push;
mod spans;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{task::JoinHandle, time::timeout};

pub use config::{Outsiders, TelemetryConfig, TelemetryError};

use crate::{
    admin::Admin,
    clock::{Clock, Draws, Random, uuid_v7},
    metrics::{Page, Teller},
    otlp::Resource,
    shutdown::Shutdown,
    trace::{Queue, Source, Tracer},
};
use collector::Collector;
use push::Push;
use spans::Sender;

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
    queue: Arc<Queue>,
    spans: Arc<Tally>,
    pushes: Arc<Tally>,
    stop: Shutdown,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What became of what was sent: taken by the collector, or not.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
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
        let (queue, ended) = Queue::new(config.queue);
        let (spans, stop) = (Arc::<Tally>::default(), Shutdown::manual());
        let sender = Sender { collector, tally: Arc::clone(&spans), random: random.clone() };
        let tasks = Mutex::new(vec![tokio::spawn(sender.run(ended, stop.clone()))]);
        let (began, instance) = (clock.now(), uuid_v7(&clock, &random).to_string());
        Ok(Self(Some(Arc::new(Process {
            config: config.clone(),
            clock,
            random,
            began,
            instance,
            queue,
            spans,
            pushes: Arc::default(),
            stop,
            tasks,
        }))))
    }

    /// Traces into the hands of a test, which finds every span that has ended.
    #[cfg(test)]
    pub(crate) fn captured(ratio: f64, outsiders: Outsiders) -> (Self, crate::trace::tests::Captured) {
        let (queue, ended) = Queue::new(1000);
        let (endpoint, roots, headers) = Default::default();
        let config = TelemetryConfig { endpoint, roots, headers, ratio, queue: 1000, outsiders, metrics_seconds: 0 };
        let (began, random) = (SystemTime::UNIX_EPOCH, Random::seeded(1));
        let (clock, instance) = (Clock::simulated(began), String::new());
        let (spans, pushes) = Default::default();
        let (stop, tasks) = (Shutdown::manual(), Mutex::default());
        let process = Process { config, clock, random, began, instance, queue, spans, pushes, stop, tasks };
        (Self(Some(Arc::new(process))), crate::trace::tests::Captured(ended))
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
        Tracer::new(Source {
            clock: process.clock.clone(),
            draws: Draws::new(&process.random),
            threshold,
            believes_outsiders: process.config.outsiders == Outsiders::Accept,
            resource: Arc::new(Resource::of(name, &process.instance)),
            queue: Arc::clone(&process.queue),
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

    /// Adds to what `admin` tells what becomes of the spans and the metrics.
    pub fn describe(&self, admin: &Admin) {
        if let Some(process) = self.0.clone() {
            admin.add_figures(move |page| process.write(page));
        }
    }
}

impl Process {
    fn write(&self, page: &mut Page) {
        let help = "Spans by what became of them: dropped for want of room, or not taken by the collector.";
        let (sent, failed) = self.spans.read();
        for (outcome, count) in [("sent", sent), ("dropped", self.queue.dropped()), ("failed", failed)] {
            page.counter("plaza_telemetry_spans_total", help, &[("outcome", outcome)], count as f64);
        }
        let help = "Requests with metrics by what became of them: taken by the collector, or not.";
        let (sent, failed) = self.pushes.read();
        for (outcome, count) in [("sent", sent), ("failed", failed)] {
            page.counter("plaza_telemetry_pushes_total", help, &[("outcome", outcome)], count as f64);
        }
    }
}

impl Tally {
    fn read(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.failed.load(Relaxed))
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Telemetry(on)" } else { "Telemetry(off)" })
    }
}

//! Telling a collector what a process counts, every so often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::sleep;
use tonic::Status;

use super::{Page, Teller};
use crate::{
    admin::Admin,
    otlp::{Collector, metrics::EXPORT},
    shutdown::Shutdown,
};

/// Tells what an [`Admin`] tells. What does not arrive is not kept: the next request says it too, for all figures count from the start.
pub(crate) struct Push {
    collector: Collector,
    admin: Admin,
    teller: Teller,
    pushes: Arc<Pushes>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Push {
    pub(crate) fn new(collector: Collector, admin: Admin, teller: Teller, pushes: Arc<Pushes>) -> Self {
        Self { collector, admin, teller, pushes }
    }

    /// Each `period`, and a last time when `stop` begins.
    pub(crate) async fn run(mut self, period: Duration, stop: Shutdown) {
        while !stop.is_begun() {
            tokio::select! {
                () = sleep(period) => {}
                () = stop.begun() => {}
            }
            self.tell().await;
        }
    }

    async fn tell(&mut self) {
        let request = self.admin.page().await.request(&self.teller);
        let taken = match self.collector.export(EXPORT, request).await {
            Ok(0) => Ok(()),
            Ok(rejected) => Err(Status::unknown(format!("{rejected} data points were rejected"))),
            Err(status) => Err(status),
        };
        let count = if taken.is_ok() { &self.pushes.sent } else { &self.pushes.failed };
        count.fetch_add(1, Relaxed);
        self.collector.log("metrics", &taken);
    }
}

impl Pushes {
    pub(crate) fn write(&self, page: &mut Page) {
        for (outcome, count) in [("sent", &self.sent), ("failed", &self.failed)] {
            let help = "Requests with metrics by what became of them: taken by the collector, or not.";
            page.counter("plaza_telemetry_pushes_total", help, &[("outcome", outcome)], count.load(Relaxed) as f64);
        }
    }
}

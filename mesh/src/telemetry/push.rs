//! Telling a collector what a process counts, every so often.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::sleep;
use tonic::Status;

use super::{Collector, Tally};
use crate::{admin::Admin, metrics::Teller, otlp::metrics::EXPORT, shutdown::Shutdown};

/// Tells what an [`Admin`] tells. What does not arrive is not kept: the next request says it too, for all figures count from the start.
pub(super) struct Push {
    collector: Collector,
    admin: Admin,
    teller: Teller,
    tally: Arc<Tally>,
}

impl Push {
    pub(super) fn new(collector: Collector, admin: Admin, teller: Teller, tally: Arc<Tally>) -> Self {
        Self { collector, admin, teller, tally }
    }

    /// Each `period`, and a last time when `stop` begins.
    pub(super) async fn run(mut self, period: Duration, stop: Shutdown) {
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
        let count = if taken.is_ok() { &self.tally.sent } else { &self.tally.failed };
        count.fetch_add(1, Relaxed);
        self.collector.log("metrics", &taken);
    }
}

//! Figures that a service reads when it is asked.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::timeout_at;

use super::Page;
use crate::deadline::{self, Deadline};

/// How long a service may take to read its gauges.
const PATIENCE: Duration = Duration::from_secs(1);

/// One sample.
#[derive(Debug, Clone)]
pub struct Gauge {
    /// Lower case with underscores, its base unit last: `plaza_work_oldest_seconds`. One that ends in `_total` is a counter: it only goes up; `_bucket`,
    /// `_sum` and `_count` are the parts of a histogram, in this order.
    pub name: &'static str,
    /// One sentence, the same for all samples of the name.
    pub help: &'static str,
    /// What tells it from others of the name. Few values: each makes a series.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

type Reading = Pin<Box<dyn Future<Output = Vec<Gauge>> + Send>>;

/// What reads them.
#[derive(Clone)]
pub(crate) struct Gauges(Arc<dyn Fn() -> Reading + Send + Sync>);

impl Gauges {
    pub(crate) fn new<F, R>(read: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Gauge>> + Send + 'static,
    {
        Self(Arc::new(move || -> Reading { Box::pin(read()) }))
    }

    pub(crate) async fn write(&self, page: &mut Page) {
        let deadline = Deadline::after(PATIENCE);
        let read = timeout_at(deadline.instant(), deadline::within(deadline, (self.0)())).await;
        for Gauge { name, help, labels, value } in read.unwrap_or_default() {
            let labels: Vec<_> = labels.iter().map(|(label, text)| (*label, text.as_str())).collect();
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| Some((name.strip_suffix(part)?, *part)));
            if let Some((name, part)) = part {
                page.part(name, part, help, &labels, value);
            } else if name.ends_with("_total") {
                page.counter(name, help, &labels, value);
            } else {
                page.gauge(name, help, &labels, value);
            }
        }
    }
}

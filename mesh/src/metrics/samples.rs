//! Samples that a service takes when it is asked.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::timeout_at;

use super::Page;
use crate::deadline::{self, Deadline};

/// How long a service may take to read its samples.
const PATIENCE: Duration = Duration::from_secs(1);

/// One sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Lower case with underscores, its base unit last: `plaza_work_oldest_seconds`. One that ends in `_total` is a counter: it only goes up.
    pub name: &'static str,
    /// One sentence, the same for all samples of the name.
    pub help: &'static str,
    /// What tells it from others of the name. Few values: each makes a series.
    pub labels: Vec<(&'static str, String)>,
    /// The value; of a distribution, the sum of its values.
    pub value: f64,
    /// Of a distribution, for each upper bound the number of values over the bound before, `+Inf` being the last bound; else nothing.
    pub buckets: Vec<(&'static str, u64)>,
}

type Reading = Pin<Box<dyn Future<Output = Vec<Sample>> + Send>>;

/// What reads them.
#[derive(Clone)]
pub(crate) struct Samples(Arc<dyn Fn() -> Reading + Send + Sync>);

impl Samples {
    pub(crate) fn new<F, R>(read: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Sample>> + Send + 'static,
    {
        Self(Arc::new(move || -> Reading { Box::pin(read()) }))
    }

    pub(crate) async fn write(&self, page: &mut Page) {
        let deadline = Deadline::after(PATIENCE);
        let read = timeout_at(deadline.instant(), deadline::within(deadline, (self.0)())).await;
        for Sample { name, help, labels, value, buckets } in read.unwrap_or_default() {
            let labels: Vec<_> = labels.iter().map(|(label, text)| (*label, text.as_str())).collect();
            if !buckets.is_empty() {
                page.histogram(name, help, &labels, buckets.into_iter(), value);
            } else if name.ends_with("_total") {
                page.counter(name, help, &labels, value);
            } else {
                page.gauge(name, help, &labels, value);
            }
        }
    }
}

//! What whoever runs a service sees of its database.

use db::{Db, work::Sample};
use mesh::metrics::Gauge;

/// What the database of `service` was asked to do, and what came of it.
pub(crate) fn gauges(db: &Db, service: &'static str) -> Vec<Gauge> {
    let gauge = |Sample { name, help, labels, value, buckets }| Gauge { name, help, labels, value, buckets };
    db.samples(service).into_iter().map(gauge).collect()
}

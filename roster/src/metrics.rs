//! What whoever runs a service sees of its database.

use db::{Db, work::Sample};
use mesh::metrics;

/// What the database of `service` was asked to do, and what came of it.
pub(crate) fn samples(db: &Db, service: &'static str) -> Vec<metrics::Sample> {
    let sample = |Sample { name, help, labels, value, buckets }| metrics::Sample { name, help, labels, value, buckets };
    db.samples(service).into_iter().map(sample).collect()
}

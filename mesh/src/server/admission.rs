//! How many calls a server takes on at a time, over all its connections. One more is refused before anything is done for it,
//! with the time to come back in: what is turned away costs next to nothing, and what is taken is done in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tonic::{Status, metadata::MetadataValue};

use crate::{failure::Failure, wire};

/// When those who are refused are to come back, spread so that they do not come all at once.
const SOONEST: u32 = 100;
const SPREAD: u32 = 200;

/// The calls that a server has taken on.
pub(super) struct Admission {
    limit: u32,
    taken: AtomicU32,
    refused: AtomicU32,
}

/// A call that was taken on, until it is dropped. Probes and reflection need none.
pub(super) struct Admitted(Option<Arc<Admission>>);

impl Admission {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, taken: AtomicU32::new(0), refused: AtomicU32::new(0) }
    }

    /// Takes on a call of the method at `path`.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED`, with RetryInfo and the same as `grpc-retry-pushback-ms`.
    pub(super) fn admit(self: &Arc<Self>, path: &str) -> Result<Admitted, Status> {
        // Who is overloaded is alive, and says so.
        if path.starts_with("/grpc.") {
            return Ok(Admitted(None));
        }
        if self.taken.fetch_add(1, Relaxed) < self.limit {
            return Ok(Admitted(Some(Arc::clone(self))));
        }
        self.taken.fetch_sub(1, Relaxed);
        Err(self.refuse())
    }

    fn refuse(&self) -> Status {
        // A stride without a common factor visits all of the spread.
        let millis = SOONEST + self.refused.fetch_add(1, Relaxed).wrapping_mul(71) % SPREAD;
        let mut status = Status::from(Failure::overloaded(Duration::from_millis(millis.into())));
        status.metadata_mut().insert(wire::PUSHBACK, MetadataValue::from(millis));
        status
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(admission) = &self.0 {
            admission.taken.fetch_sub(1, Relaxed);
        }
    }
}

//! How many calls a server takes on at a time, over all its connections. One more is refused before anything is done for it,
//! with the time to come back in: what is turned away costs next to nothing, and what is taken is done in time.
//!
//! The number adapts, as a sender's window does in TCP. Where calls queue for something scarce, one that has all of its time behind it when its turn
//! comes is work for nobody; so a call that takes more than a third of what its method allows halves the number, once for all that were
//! taken on before it showed, and as long as calls are answered in half of that it grows again: what it lets in shows only once it was answered. A third, for callers may have less time than the method allows, and
//! what they give up before it shows nothing. Time counts from the request's last byte to the answer's first: how long
//! a caller takes to send the one or to read the other says nothing of this side.
//!
//! Probes are always answered. The streams of health and reflection, which anybody may open and keep for minutes, take no call's place, but
//! are counted by themselves.

use std::{
    cell::Cell,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::MethodPolicy;
use tokio::time::Instant;
use tonic::{Status, metadata::MetadataValue};

use crate::{failure::Failure, wire};

/// When those who are refused are to come back, spread so that they do not come all at once.
const SOONEST: u32 = 100;
const SPREAD: u32 = 200;
/// However late calls are, so many are taken on: callees that are slow, rather than a queue, are no reason to turn everybody away.
const LEAST: u32 = 64;
/// How often the number grows, by a sixteenth: from the least to a thousand in 5 s.
const GROWTH: Duration = Duration::from_millis(100);

tokio::task_local! {
    /// The place of the call that is being answered.
    static PLACE: Admitted;
}

/// The calls that a server has taken on.
pub(super) struct Admission {
    most: u32,
    share: u32,
    limit: AtomicU32,
    calls: AtomicU32,
    /// Those of health and reflection, apart from the calls: `most` of them, however few calls there may be.
    streams: AtomicU32,
    refused: AtomicU32,
    pace: Mutex<Pace>,
}

/// When the limit last changed.
struct Pace {
    cut: Instant,
    grown: Instant,
}

/// A call that was taken on, until it is dropped. A probe needs no place.
pub(super) struct Admitted(Option<Taken>);

struct Taken {
    admission: Arc<Admission>,
    built_in: bool,
    /// How long it may take without being a sign of overload; a stream may take any time.
    patience: Option<Duration>,
    /// Since when it could be answered.
    read: Cell<Option<Instant>>,
}

impl Admission {
    /// Takes on `most` calls at a time, or fewer, and no more than `share` on one connection.
    pub(super) fn new(most: u32, share: u32) -> Self {
        let now = Instant::now();
        let count = || AtomicU32::new(0);
        Self {
            most,
            share,
            limit: AtomicU32::new(most),
            calls: count(),
            streams: count(),
            refused: count(),
            pace: Mutex::new(Pace { cut: now, grown: now }),
        }
    }

    /// Takes on a call beside `others` on its connection.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED`, with RetryInfo and the same as `grpc-retry-pushback-ms`.
    pub(super) fn admit(self: &Arc<Self>, policy: &MethodPolicy, others: u32) -> Result<Admitted, Status> {
        let built_in = policy.path.starts_with("/grpc.");
        let streams = policy.client_streaming || policy.server_streaming;
        // Who is overloaded is alive, and says so.
        if built_in && !streams {
            return Ok(Admitted(None));
        }
        if others >= self.share {
            return Err(self.refuse());
        }
        let limit = if built_in { self.most } else { self.limit.load(Relaxed) };
        if self.taken(built_in).fetch_add(1, Relaxed) >= limit {
            self.taken(built_in).fetch_sub(1, Relaxed);
            return Err(self.refuse());
        }
        let patience = (!streams).then_some(policy.deadline / 3);
        Ok(Admitted(Some(Taken { admission: Arc::clone(self), built_in, patience, read: Cell::new(None) })))
    }

    /// How many there are: streams of health and reflection have a count of their own.
    fn taken(&self, built_in: bool) -> &AtomicU32 {
        if built_in { &self.streams } else { &self.calls }
    }

    fn refuse(&self) -> Status {
        // A stride without a common factor visits all of the spread.
        let millis = SOONEST + self.refused.fetch_add(1, Relaxed).wrapping_mul(71) % SPREAD;
        let mut status = Status::from(Failure::overloaded(Duration::from_millis(millis.into())));
        status.metadata_mut().insert(wire::PUSHBACK.as_str(), MetadataValue::from(millis));
        status
    }

    /// Learns from a call that could be answered since `read`, and is answered or given up.
    fn learn(&self, read: Instant, patience: Duration, answered: bool) {
        // Others learn the same at the same time.
        let Ok(mut pace) = self.pace.try_lock() else { return };
        let (now, limit) = (Instant::now(), self.limit.load(Relaxed));
        let took = now - read;
        if took > patience {
            if read >= pace.cut && limit > LEAST {
                self.limit.store((limit / 2).max(LEAST), Relaxed);
                pace.cut = now;
            }
        } else if answered && took <= patience / 2 && limit < self.most && now - pace.cut.max(pace.grown) >= GROWTH {
            self.limit.store((limit + limit / 16 + 1).min(self.most), Relaxed);
            pace.grown = now;
        }
    }
}

impl Admitted {
    /// Answers the call. Its time is over with that, or when this is dropped.
    pub(super) async fn answering<F: Future>(self, answer: F) -> (F::Output, Self) {
        let mut answer = pin!(PLACE.scope(self, answer));
        let answered = answer.as_mut().await;
        let admitted = answer.take_value().expect("taken but here");
        admitted.0.iter().for_each(|taken| taken.over(true));
        (answered, admitted)
    }
}

/// Notes that the call that is being answered can be: its request was read to the end.
pub(super) fn read() {
    // Elsewhere than in a handler nobody waits for the answer.
    let _ = PLACE.try_with(|Admitted(taken)| taken.iter().for_each(Taken::read));
}

impl Taken {
    fn read(&self) {
        if self.patience.is_some() && self.read.get().is_none() {
            self.read.set(Some(Instant::now()));
        }
    }

    fn over(&self, answered: bool) {
        if let (Some(read), Some(patience)) = (self.read.take(), self.patience) {
            self.admission.learn(read, patience, answered);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.admission.taken(self.built_in).fetch_sub(1, Relaxed);
        self.over(false);
    }
}

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
//! are counted by themselves. Nor does a flood of anybody's calls keep out those of the mesh, such as the streams of revocations: where there is no place, a
//! service that has proved itself has one of a few that are kept for its methods.

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

use crate::{failure::Failure, policy::Access, wire};

/// When those who are refused are to come back, spread so that they do not come all at once.
const SOONEST: u32 = 100;
const SPREAD: u32 = 200;
/// However late calls are, so many are taken on: callees that are slow, rather than a queue, are no reason to turn everybody away. As many are kept for
/// services of the mesh.
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
    /// How many of each kind are taken.
    taken: [AtomicU32; 3],
    refused: AtomicU32,
    pace: Mutex<Pace>,
}

/// Which places a call takes.
#[derive(Clone, Copy)]
enum Places {
    /// Everybody's, up to the limit.
    Calls,
    /// Those that are kept for services of the mesh.
    Peers,
    /// Those of health and reflection: `most` of them, however few calls there may be.
    Streams,
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
    places: Places,
    /// How long it may take without being a sign of overload; a stream may take any time.
    patience: Option<Duration>,
    /// Since when it could be answered.
    read: Cell<Option<Instant>>,
}

impl Admission {
    /// Takes on `most` calls at a time, or fewer, and no more than `share` on one connection.
    pub(super) fn new(most: u32, share: u32) -> Self {
        let now = Instant::now();
        Self {
            most,
            share,
            limit: AtomicU32::new(most),
            taken: [const { AtomicU32::new(0) }; 3],
            refused: AtomicU32::new(0),
            pace: Mutex::new(Pace { cut: now, grown: now }),
        }
    }

    /// Takes on a call beside `others` on its connection. Whether a service of the mesh calls is asked only if that matters.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED`, with RetryInfo and the same as `grpc-retry-pushback-ms`.
    pub(super) fn admit(
        self: &Arc<Self>,
        policy: &MethodPolicy,
        others: u32,
        is_peer: impl FnOnce() -> bool,
    ) -> Result<Admitted, Status> {
        let built_in = policy.path.starts_with("/grpc.");
        let streams = policy.client_streaming || policy.server_streaming;
        // Who is overloaded is alive, and says so.
        if built_in && !streams {
            return Ok(Admitted(None));
        }
        if others >= self.share {
            return Err(self.refuse());
        }
        let places = if built_in {
            self.take(Places::Streams, self.most)
        } else {
            self.take(Places::Calls, self.limit.load(Relaxed)).or_else(|| {
                let kept = policy.access == Access::Peer && is_peer();
                kept.then(|| self.take(Places::Peers, LEAST.min(self.most))).flatten()
            })
        };
        let Some(places) = places else { return Err(self.refuse()) };
        let patience = (!streams).then_some(policy.deadline / 3);
        Ok(Admitted(Some(Taken { admission: Arc::clone(self), places, patience, read: Cell::new(None) })))
    }

    /// Takes one of so many places, if there is one.
    fn take(&self, places: Places, most: u32) -> Option<Places> {
        let taken = &self.taken[places as usize];
        if taken.fetch_add(1, Relaxed) < most {
            return Some(places);
        }
        taken.fetch_sub(1, Relaxed);
        None
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
        self.admission.taken[self.places as usize].fetch_sub(1, Relaxed);
        self.over(false);
    }
}

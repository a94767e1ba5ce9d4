//! Faults that tests ask for, by the name of the job. A program that asks for none has none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is run.
    Run,
    /// It is not begun: [`Error::Unavailable`](crate::Error::Unavailable).
    Refuse,
    /// It is run to its end, and the caller is not told how it ended: [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
    Lose,
    /// It is begun so much later, and its deadline does not know: whoever handed it in was frozen after the last look at the clock.
    Late(Duration),
    /// It is run to its end, and the caller is told so much later: a deadline may pass while the engine works.
    Slow(Duration),
}

type Decide = dyn Fn(&'static str) -> Fate + Send + Sync;

/// Decides the fate of each job as it is handed in. Clones decide as one.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Decide>>);

impl Faults {
    /// `decide` is asked with the name of each job.
    pub fn new(decide: impl Fn(&'static str) -> Fate + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    pub(crate) fn fate(&self, name: &'static str) -> Fate {
        self.0.as_ref().map_or(Fate::Run, |decide| decide(name))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(…)" } else { "Faults(none)" })
    }
}

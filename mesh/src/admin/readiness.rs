//! Whether a process is ready for calls: what its services checked, and that it is not stopping.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    deadline::{self, Deadline},
    server::Check,
    shutdown::Shutdown,
};

/// How long a check may take; one that takes longer has failed. Less than the time-out of a probe.
const PATIENCE: Duration = Duration::from_millis(800);
/// How long a look is good for, so that nobody who asks often makes work for the database.
pub(super) const GOOD_FOR: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) ready: bool,
    /// Each check by name.
    pub(super) checks: BTreeMap<String, bool>,
}

/// The checks of a process.
pub(super) struct Readiness {
    shutdown: Shutdown,
    checks: RwLock<Option<Vec<(String, Check)>>>,
    last: Mutex<Option<(Instant, BTreeMap<String, bool>)>>,
}

impl Readiness {
    pub(super) fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, checks: RwLock::new(None), last: Mutex::new(None) }
    }

    /// Adds the checks of a service. A process without services is not ready: it is starting.
    pub(super) fn add(&self, service: &str, checks: &[Check]) {
        let named = checks.iter().map(|check| (format!("{service}/{}", check.name), check.clone()));
        let mut all = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        all.get_or_insert_default().extend(named);
    }

    /// Runs the checks at once, unless that was just done or a drain has begun. One at a time: the others wait for its outcome.
    pub(super) async fn look(&self) -> Look {
        let mut last = self.last.lock().await;
        let checks = match &*last {
            Some((at, checks)) if at.elapsed() < GOOD_FOR => checks.clone(),
            // Nothing makes it ready any more, and what the checks ask may be closed by now.
            last if self.shutdown.is_begun() => last.as_ref().map(|(_, checks)| checks.clone()).unwrap_or_default(),
            _ => {
                let Some(wanted) = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone() else {
                    return Look { ready: false, checks: BTreeMap::new() };
                };
                let before = last.take().map(|(_, checks)| checks).unwrap_or_default();
                let checks = run(wanted, &before).await;
                *last = Some((Instant::now(), checks.clone()));
                checks
            }
        };
        // Asked last and each time: a drain is to be seen at once.
        Look { ready: !self.shutdown.is_begun() && checks.values().all(|holds| *holds), checks }
    }
}

async fn run(wanted: Vec<(String, Check)>, before: &BTreeMap<String, bool>) -> BTreeMap<String, bool> {
    let deadline = Deadline::after(PATIENCE);
    let mut checks: BTreeMap<_, _> = wanted.iter().map(|(name, _)| (name.clone(), false)).collect();
    let mut running = JoinSet::new();
    for (name, check) in wanted {
        running.spawn(deadline::within(deadline, async move {
            let late = || Err("no answer in time".to_owned());
            (name, timeout_at(deadline.instant(), check.run()).await.unwrap_or_else(|_| late()))
        }));
    }
    while let Some(ended) = running.join_next().await {
        // One that panicked stays unready.
        let Ok((name, outcome)) = ended else { continue };
        let held = before.get(&name).copied().unwrap_or(true);
        match &outcome {
            Err(reason) if held => tracing::warn!(check = name, reason, "not ready"),
            Ok(()) if !held => tracing::info!(check = name, "ready again"),
            _ => {}
        }
        checks.insert(name, outcome.is_ok());
    }
    checks
}

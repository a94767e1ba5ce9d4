//! What goes wrong, where and when.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use mesh::channel::{Fate as CallFate, Faults as CallFaults};
use onebox::{Faults, Part};
use tonic::Code;

/// Where something can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A job of a part's database, by its name.
    Job(Part, &'static str),
    /// A call that SSO makes, by its path.
    Call(String),
}

impl Step {
    /// The name of the job, or the path of the call.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Job(_, name) => name,
            Self::Call(path) => path,
        }
    }

    /// Whose it is.
    pub(super) fn part(&self) -> Part {
        match self {
            Self::Job(part, _) => *part,
            Self::Call(_) => Part::Sso,
        }
    }
}

/// What goes wrong there, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The peer, or the database, refuses, and nothing is done.
    Refused(Code),
    /// It is done, and the answer is lost.
    Lost(Code),
    /// No answer comes before the deadline, and nothing is done until then.
    Silent,
    /// No answer comes before the deadline, and it is done.
    DoneAndSilent,
    /// Whose step it is stops just before.
    StoppedBefore,
    /// Whose step it is stops just after.
    StoppedAfter,
}

pub(super) const AT_A_CALL: [Wrong; 9] = [
    Wrong::Refused(Code::Unavailable),
    Wrong::Refused(Code::Internal),
    Wrong::Refused(Code::ResourceExhausted),
    Wrong::Lost(Code::Unavailable),
    Wrong::Lost(Code::Internal),
    Wrong::Silent,
    Wrong::DoneAndSilent,
    Wrong::StoppedBefore,
    Wrong::StoppedAfter,
];

pub(super) const AT_A_JOB: [Wrong; 6] = [
    Wrong::Refused(Code::Unavailable),
    Wrong::Lost(Code::Unavailable),
    Wrong::Silent,
    Wrong::DoneAndSilent,
    Wrong::StoppedBefore,
    Wrong::StoppedAfter,
];

/// By how much a database is late: longer than any call may take, and than a debt of SSO's is leased. Who handed in a job and outlives its caller goes on then.
pub(super) const LATE: Duration = Duration::from_secs(11);

/// What the faults of a world are decided by.
#[derive(Clone, Default)]
pub(super) struct Plan(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    /// The steps since the flow began, each as often as it came by.
    pub(super) steps: Vec<Step>,
    /// What goes wrong at which step, the how-manieth time it comes by.
    pub(super) armed: Option<(Step, usize, Wrong)>,
    /// Who has stopped: nothing of it reaches anything.
    pub(super) stopped: Option<Part>,
}

impl Plan {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics here")
    }

    /// What becomes of a step.
    fn meet(&self, step: Step) -> Option<Wrong> {
        let mut state = self.state();
        if state.stopped == Some(step.part()) {
            return Some(Wrong::StoppedBefore);
        }
        let nth = state.steps.iter().filter(|before| **before == step).count();
        state.steps.push(step.clone());
        let (_, _, wrong) = state.armed.take_if(|(armed, at, _)| *armed == step && *at == nth)?;
        if matches!(wrong, Wrong::StoppedBefore | Wrong::StoppedAfter) {
            state.stopped = Some(step.part());
        }
        Some(wrong)
    }

    /// The flow begins, and this is to go wrong in it.
    pub(super) fn begin(&self, armed: Option<(Step, usize, Wrong)>) {
        let mut state = self.state();
        state.steps.clear();
        state.armed = armed;
    }

    pub(super) fn faults(&self) -> Faults {
        let calls = self.clone();
        let call = move |path: &str| {
            // Keys are fetched from SSO by the others: none of its own steps.
            if path.starts_with("/sso.") {
                return CallFate::Pass;
            }
            match calls.meet(Step::Call(path.to_owned())) {
                None => CallFate::Pass,
                Some(Wrong::Refused(code)) => CallFate::Refuse(code),
                Some(Wrong::Lost(code)) => CallFate::Lose(code),
                Some(Wrong::Silent | Wrong::StoppedBefore) => CallFate::Hang,
                Some(Wrong::DoneAndSilent | Wrong::StoppedAfter) => CallFate::ActAndHang,
            }
        };
        let jobs = |part| {
            let plan = self.clone();
            (part, db::Faults::new(move |name| fate(plan.meet(Step::Job(part, name)))))
        };
        Faults { calls: CallFaults::new(call), databases: Part::ALL.map(jobs).into() }
    }
}

/// What becomes of a job.
fn fate(wrong: Option<Wrong>) -> db::Fate {
    match wrong {
        None => db::Fate::Run,
        Some(Wrong::Lost(_) | Wrong::StoppedAfter) => db::Fate::Lose,
        Some(Wrong::Refused(_) | Wrong::StoppedBefore) => db::Fate::Refuse,
        Some(Wrong::Silent) => db::Fate::Late(LATE),
        Some(Wrong::DoneAndSilent) => db::Fate::Slow(LATE),
    }
}

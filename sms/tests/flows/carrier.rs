//! A carrier that does as it is told.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sms::{
    Destination,
    carrier::{Carrier, Delivering, Message, Outcome},
};
use tokio::time::sleep;
use uuid::Uuid;

/// Takes its time, answers what it is told to, and keeps what it got.
pub(crate) struct TestCarrier {
    pub(crate) takes: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) got: Mutex<HashMap<Uuid, Vec<Message>>>,
    /// How many calls end in a panic, which is all that is left of the task: as if the process had died.
    crashes: AtomicU32,
    /// How much longer it takes with text messages.
    slow: Duration,
    asked: AtomicU32,
}

impl TestCarrier {
    pub(crate) fn new(takes: Duration, outcome: Outcome) -> Arc<Self> {
        Arc::new(Self {
            takes,
            outcome,
            got: Mutex::default(),
            crashes: AtomicU32::new(0),
            slow: Duration::ZERO,
            asked: AtomicU32::new(0),
        })
    }

    /// One whose first `crashes` calls never come back.
    pub(crate) fn crashing(crashes: u32, outcome: Outcome) -> Arc<Self> {
        Self::crashing_and_slow(crashes, Duration::ZERO, outcome)
    }

    /// The same, which takes so long with a text message later.
    pub(crate) fn crashing_and_slow(crashes: u32, slow: Duration, outcome: Outcome) -> Arc<Self> {
        let crashes = AtomicU32::new(crashes);
        Arc::new(Self {
            takes: Duration::ZERO,
            outcome,
            got: Mutex::default(),
            crashes,
            slow,
            asked: AtomicU32::new(0),
        })
    }

    /// The code of the only message.
    pub(crate) fn code(&self) -> String {
        let got = self.got.lock().unwrap();
        let (code, _) = got.values().flatten().next().unwrap().code.clone().unwrap();
        code.expose().to_owned()
    }

    /// How many calls there were.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many messages were delivered to the end.
    pub(crate) fn delivered(&self) -> usize {
        self.got.lock().unwrap().values().map(Vec::len).sum()
    }
}

impl Carrier for TestCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> Delivering<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let left = self.crashes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            assert!(left.is_err(), "on purpose");
            sleep(self.takes).await;
            if matches!(message.destination, Destination::Phone(_)) {
                sleep(self.slow).await;
            }
            self.got.lock().unwrap().entry(message.id).or_default().push(message.clone());
            self.outcome
        })
    }
}

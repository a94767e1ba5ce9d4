//! A second SSO on the database of the first, where processes share one.

use std::sync::atomic::{AtomicUsize, Ordering};

use mesh::{Channel, ChannelOptions};
use onebox::{Faults, Part, Running};

use super::World;
use crate::storage::is_shared;

/// What there is of it.
#[derive(Default)]
pub(super) struct Second {
    /// What is to go wrong with it; `None` if there is to be none.
    faults: Option<Faults>,
    running: Option<Running>,
    /// Which of the two is called: 0 or 1.
    called: AtomicUsize,
}

impl World {
    /// Starts a second SSO, with which things go wrong as asked, if the database can be shared. Returns how many there are then.
    pub(crate) async fn start_second(&mut self, faults: Faults) -> usize {
        if !is_shared() {
            return 1;
        }
        self.second.faults = Some(faults);
        self.start_sso(1).await;
        2
    }

    /// From now on this SSO is called, 0 or 1.
    pub(crate) fn turn_to(&self, sso: usize) {
        self.second.called.store(sso, Ordering::SeqCst);
    }

    pub(super) fn sso(&self) -> Channel {
        if self.second.called.load(Ordering::SeqCst) == 0 {
            return self.client(Part::Sso);
        }
        let running = self.second.running.as_ref().expect("it runs");
        let options = ChannelOptions { random: self.plaza().edge().random.clone(), ..ChannelOptions::default() };
        Channel::in_memory(running.router(), None, options)
    }

    /// Stops one SSO, 0 or 1. Its data stays.
    pub(crate) async fn stop_sso(&mut self, sso: usize) {
        if sso == 0 {
            self.plaza_mut().stop_part(Part::Sso).await;
        } else if let Some(running) = self.second.running.take() {
            running.close().await;
        }
    }

    /// Starts one SSO again, 0 or 1; the second only where there is to be one.
    pub(crate) async fn start_sso(&mut self, sso: usize) {
        if sso == 0 {
            self.plaza_mut().start_part(Part::Sso).await.expect("it starts again");
        } else if let Some(faults) = self.second.faults.clone() {
            self.second.running = Some(self.plaza().replica(Part::Sso, faults).await.expect("it starts, too"));
        }
    }

    /// Stops all there is of a part.
    pub(super) async fn stop_part(&mut self, part: Part) {
        if part == Part::Sso {
            self.stop_sso(1).await;
        }
        self.plaza_mut().stop_part(part).await;
    }

    /// Starts all there is of a part again.
    pub(super) async fn start_part(&mut self, part: Part) {
        self.plaza_mut().start_part(part).await.expect("it starts again");
        if part == Part::Sso {
            self.start_sso(1).await;
        }
    }
}

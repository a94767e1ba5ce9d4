//! What goes wrong, and when.

use std::time::Duration;

use mesh::Random;
use onebox::Part;
use turmoil::Sim;

use crate::{STORM, people};

/// The longest a message takes in good weather.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);
/// And in bad.
const SLOW: Duration = Duration::from_millis(800);
/// Between two blows.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_millis(2000);
/// How long one lasts.
const BLOW: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(6000);

/// When all is mended.
pub(crate) const CALM: Duration = Duration::from_secs(STORM.as_secs() + BLOW.end.as_secs() + 1);

/// Breaks links and hosts of a simulation for a while, and mends them.
pub(crate) struct Storm {
    random: Random,
    next: Duration,
    damage: Vec<(Duration, Blow)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// The host ends in the middle of whatever it does.
    Crash(&'static str),
    /// Nothing gets through, and what was on its way is lost.
    Cut(&'static str, &'static str),
    /// Nothing gets through until later.
    Hold(&'static str, &'static str),
    /// Everything takes its time.
    Slow(&'static str, &'static str),
}

impl Storm {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::seeded(!seed), next: Duration::ZERO, damage: Vec::new() }
    }

    /// Does what is due.
    pub(crate) fn strike(&mut self, sim: &mut Sim<'_>) {
        let now = sim.elapsed();
        for (_, blow) in self.damage.extract_if(.., |(until, _)| *until <= now) {
            tracing::info!(target: "simulation", ?now, ?blow, "over");
            blow.mend(sim);
        }
        if now < self.next || now > STORM {
            return;
        }
        self.next = now + self.random.between(PAUSE);
        let blow = self.draw();
        let until = now + self.random.between(BLOW);
        if self.damage.iter().all(|(_, other)| !other.meets(blow)) {
            tracing::info!(target: "simulation", ?now, ?blow, ?until, "struck");
            blow.strike(sim);
            self.damage.push((until, blow));
        }
    }

    fn draw(&self) -> Blow {
        let hosts = Part::ALL.map(Part::name);
        let host = |below| self.random.below(below) as usize;
        let one = hosts[host(4)];
        // Somebody else of the five.
        let others: Vec<_> = hosts.into_iter().chain([people::HOST]).filter(|other| *other != one).collect();
        let other = others[host(4)];
        match self.random.below(4) {
            0 => Blow::Crash(one),
            1 => Blow::Cut(one, other),
            2 => Blow::Hold(one, other),
            _ => Blow::Slow(one, other),
        }
    }
}

impl Blow {
    /// Whether the two are of the same host or link, so that mending one would mend the other.
    fn meets(self, other: Self) -> bool {
        use Blow::{Crash, Cut, Hold, Slow};
        match (self, other) {
            (Crash(a), Crash(b)) => a == b,
            (Cut(a, b) | Hold(a, b) | Slow(a, b), Cut(c, d) | Hold(c, d) | Slow(c, d)) => {
                (a, b) == (c, d) || (a, b) == (d, c)
            }
            _ => false,
        }
    }

    fn strike(self, sim: &mut Sim<'_>) {
        match self {
            Self::Crash(host) => sim.crash(host),
            Self::Cut(a, b) => sim.partition(a, b),
            Self::Hold(a, b) => sim.hold(a, b),
            Self::Slow(a, b) => sim.set_link_max_message_latency(a, b, SLOW),
        }
    }

    fn mend(self, sim: &mut Sim<'_>) {
        match self {
            Self::Crash(host) => sim.bounce(host),
            Self::Cut(a, b) => sim.repair(a, b),
            Self::Hold(a, b) => sim.release(a, b),
            Self::Slow(a, b) => sim.set_link_max_message_latency(a, b, LATENCY),
        }
    }
}

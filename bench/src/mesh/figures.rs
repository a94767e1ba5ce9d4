//! What was measured of each way to call, and what is aimed at.

use crate::aims::{Aim, Aims};

pub(super) const BARE: &str = "bare tonic";
pub(super) const OURS: &str = "our channel";
pub(super) const PAIR: &str = "bare tonic, two Envoys";
pub(super) const IN_MEMORY: &str = "in memory";

/// One measurement: calls a second, and microseconds; those of CPU a call.
#[derive(Clone, Copy)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) client: f64,
    pub(super) server: f64,
    pub(super) pair: f64,
}

impl Figures {
    /// Of each the median.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            per_second: of(|one| one.per_second),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
            client: of(|one| one.client),
            server: of(|one| one.server),
            pair: of(|one| one.pair),
        }
    }

    fn cpu(&self) -> f64 {
        self.client + self.server + self.pair
    }
}

/// The medians by way and calls in flight.
#[derive(Default)]
pub(super) struct Table(Vec<(&'static str, usize, Figures)>);

impl Table {
    pub(super) fn note(&mut self, way: &'static str, callers: usize, figures: Figures) {
        self.0.push((way, callers, figures));
    }

    fn of(&self, way: &str, callers: usize) -> Option<&Figures> {
        self.0.iter().find(|one| (one.0, one.1) == (way, callers)).map(|one| &one.2)
    }

    /// Judges what was measured with `callers` calls in flight.
    pub(super) fn judge(&self, callers: usize, aims: &mut Aims) {
        let of = |way| self.of(way, callers);
        let (Some(bare), Some(ours), Some(in_memory)) = (of(BARE), of(OURS), of(IN_MEMORY)) else { return };
        let mut judge = |what: &str, figure, aim| aims.judge(&format!("{callers} in flight: {what}"), figure, aim);
        judge("CPU of our server, beside bare tonic's", ours.server / bare.server, Aim::AtMost(1.0));
        if callers == 1 {
            judge("p50 over loopback, beside in memory", ours.p50 / in_memory.p50, Aim::AtLeast(12.0));
        }
        if let Some(pair) = of(PAIR) {
            let (cpu, p50) = (|one: &Figures| one.cpu() - bare.cpu(), |one: &Figures| one.p50 - bare.p50);
            judge("CPU that we add, beside what two Envoys add", cpu(ours) / cpu(pair), Aim::AtMost(0.125));
            judge("p50 that we add, beside what two Envoys add", p50(ours) / p50(pair), Aim::AtMost(0.125));
        }
    }
}

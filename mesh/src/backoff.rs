//! Pauses that grow (grpc/grpc doc/connection-backoff.md, gRFC A6): each longer by a factor up to a bound, with ±20 % jitter.

use std::time::Duration;

use crate::clock::Random;

/// How pauses grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth {
    pub(crate) first: Duration,
    pub(crate) factor: f64,
    pub(crate) longest: Duration,
}

/// The pauses of one series of failures.
#[derive(Debug)]
pub(crate) struct Backoff {
    growth: Growth,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(growth: Growth) -> Self {
        Self { growth, next: growth.first }
    }

    /// The next pause. The jitter comes on top of the bound.
    pub(crate) fn next(&mut self, random: &Random) -> Duration {
        let pause = self.next;
        self.next = pause.mul_f64(self.growth.factor).min(self.growth.longest);
        jittered(pause, random)
    }

    /// The next pause is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.growth.first;
    }
}

/// `duration` ±20 %, so that what failed together does not come back together.
pub(crate) fn jittered(duration: Duration, random: &Random) -> Duration {
    random.between(duration * 4 / 5..duration * 6 / 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_are_jittered() {
        let millis = Duration::from_millis;
        let growth = Growth { first: millis(100), factor: 1.6, longest: millis(400) };
        let random = Random::seeded(1);
        let mut first = Vec::new();
        for _ in 0..200 {
            let mut backoff = Backoff::new(growth);
            for wanted in [100, 160, 256, 400, 400] {
                let pause = backoff.next(&random);
                assert!(pause >= millis(wanted) * 4 / 5 && pause <= millis(wanted) * 6 / 5, "{wanted}: {pause:?}");
            }
            backoff.reset();
            first.push(backoff.next(&random));
        }
        assert!(first.iter().min() < Some(&millis(84)) && first.iter().max() > Some(&millis(116)), "all of the range");
    }
}

//! What figures should be: each is printed beside its aim, and a benchmark of which one is missed fails.

use std::fmt;

use crate::println;

/// What a figure should be.
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(aim) => write!(f, "at least {aim}"),
            Self::AtMost(aim) => write!(f, "at most {aim}"),
        }
    }
}

/// How many were met and missed so far.
#[derive(Default)]
pub(crate) struct Aims {
    met: u32,
    missed: u32,
}

impl Aims {
    /// Prints a figure beside its aim. One that could not be measured, NaN, has missed it.
    pub(crate) fn judge(&mut self, what: &str, figure: f64, aim: Aim) {
        let met = match aim {
            Aim::AtLeast(aim) => figure >= aim,
            Aim::AtMost(aim) => figure <= aim,
        };
        *(if met { &mut self.met } else { &mut self.missed }) += 1;
        println(&format!("{what:<72} {figure:>9.3}   {aim:<15} {}", if met { "met" } else { "MISSED" }));
    }

    /// Prints how many were met and missed.
    ///
    /// # Errors
    /// If one was missed.
    pub(crate) fn conclude(self) -> Result<(), String> {
        let Self { met, missed } = self;
        println(&format!("{met} aims met, {missed} missed"));
        if missed > 0 { Err(format!("{missed} of {} aims missed", met + missed)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Aim, Aims};

    #[test]
    fn one_that_is_missed_fails_all() {
        let mut aims = Aims::default();
        aims.judge("as much", 1.0, Aim::AtLeast(1.0));
        aims.judge("as little", 1.0, Aim::AtMost(1.0));
        assert_eq!((aims.met, aims.missed), (2, 0));
        for (figure, aim) in [(0.9, Aim::AtLeast(1.0)), (1.1, Aim::AtMost(1.0)), (f64::NAN, Aim::AtMost(1.0))] {
            aims.judge("missed", figure, aim);
        }
        assert!(aims.conclude().is_err());
        assert!(Aims::default().conclude().is_ok());
    }
}

//! Random histories of users, their names, faults, outages, stops, days and restored backups, beside a model of what has to come of them: in the end SSO and both
//! targets hold exactly the users that the model holds, as it holds them, and nothing is owed. On PostgreSQL two SSOs share one database, and each step is taken
//! by one of them or by both at once; on SQLite there is one, and it takes them all.
//!
//! A history that fails is made as short as it can be, printed, and kept in `proptest-regressions`, to be tried first from then on.
//! `PROPTEST_CASES` asks for more of them, `PROPTEST_RNG_SEED` for others.

mod model;
mod weather;

use std::ops::Range;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestRunner},
};

use self::model::History;
use crate::storage::is_shared;

/// Histories in an ordinary run: half as many of two SSOs, which take twice the time.
const CASES: u32 = 64;

/// Which of two SSOs take a step, and the step. What is asked of both is the same request, at once.
type Turn = (Range<usize>, Step);

#[derive(Debug, Clone)]
enum Step {
    /// Somebody comes; after so many jobs and calls SSO stops in the middle of it, if that is not negative.
    Create(i64),
    /// Of whom, and to which tier.
    Change(usize, u8),
    /// Two changes at once; if so, calls go wrong like this from the first of them on.
    Race(usize, [u8; 2], Option<u8>),
    Delete(usize),
    /// Somebody signs up, and never verifies.
    SignUp,
    /// Somebody deletes their own account.
    Leave(usize),
    Rename(usize),
    /// Two change names.
    Swap(usize, usize),
    /// A day goes by, and the reaper through those who never verified.
    Day,
    Retry(usize),
    /// Seconds, in which leases and pauses run out.
    Pass(u64),
    /// From now on, calls of a target go wrong like this.
    Weather(usize, u8),
    /// So many times SSO writes down how a call of a target ended when its lease is over.
    Freeze(u8),
    /// After so many jobs and calls SSO stops, and is started again.
    Stop(i64),
    Reconcile(usize),
    /// Keeps SSO's database, or a target's.
    BackUp(usize),
    Restore(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (who, target, tier) = (0..4_usize, 0..2_usize, 1..=3_u8);
    let part = prop_oneof![2 => Just(0_usize), 1 => 1..3_usize];
    prop_oneof![
        4 => prop_oneof![Just(-1), 1..5_i64].prop_map(Step::Create),
        5 => (who.clone(), tier.clone()).prop_map(|(who, tier)| Step::Change(who, tier)),
        4 => (who.clone(), [tier.clone(), tier], prop::option::of(6..9_u8))
            .prop_map(|(who, tiers, wrong)| Step::Race(who, tiers, wrong)),
        4 => who.clone().prop_map(Step::Delete),
        2 => Just(Step::SignUp),
        2 => who.clone().prop_map(Step::Leave),
        2 => who.clone().prop_map(Step::Rename),
        3 => (who.clone(), who.clone()).prop_map(|(one, other)| Step::Swap(one, other)),
        1 => Just(Step::Day),
        1 => who.prop_map(Step::Retry),
        2 => (1..40_u64).prop_map(Step::Pass),
        5 => (target.clone(), 0..9_u8).prop_map(|(target, wrong)| Step::Weather(target, wrong)),
        3 => (1..4_u8).prop_map(Step::Freeze),
        3 => (1..14_i64).prop_map(Step::Stop),
        1 => target.prop_map(Step::Reconcile),
        3 => part.clone().prop_map(Step::BackUp),
        3 => part.prop_map(Step::Restore),
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    (prop_oneof![2 => Just(0..1_usize), 2 => Just(1..2), 1 => Just(0..2)], step())
}

fn run(turns: Vec<Turn>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut history = History::new().await;
        for turn in turns {
            history.take(turn).await;
        }
        Box::pin(history.check()).await;
    });
}

#[allow(clippy::disallowed_methods, reason = "the edge of the tests")]
fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_happens_in_whatever_order_all_converges() {
    let usual = if is_shared() { CASES / 2 } else { CASES };
    let cases = asked("PROPTEST_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(usual);
    let rng_seed = RngSeed::Fixed(asked("PROPTEST_RNG_SEED").unwrap_or(1));
    let config = Config {
        cases,
        rng_seed,
        rng_algorithm: RngAlgorithm::ChaCha,
        source_file: Some(file!()),
        max_shrink_iters: 400,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(turn(), 5..40), |turns| {
        run(turns);
        Ok::<_, TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

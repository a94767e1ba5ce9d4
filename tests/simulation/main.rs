//! The four services, each on a host of its own, in a simulated network (turmoil) and in simulated time: hosts crash and come back on their data,
//! links break, hold back and slow down, people sign up meanwhile. Whatever happens is drawn from a seed, and is the same each time.
//!
//! A seed that fails is printed; `PLAZA_SIMULATION_SEED=7 cargo test -p tests --test simulation` runs it alone, and
//! `PLAZA_SIMULATION_SEED=7 PLAZA_SIMULATION_LOG=file` writes down what happened.

mod host;
mod log;
mod people;
mod storm;

use std::{thread, time::Duration};

use onebox::Part;

use log::Log;

/// When every simulation begins, since 1970.
const START: Duration = Duration::from_secs(1_900_000_000);
/// For how long things go wrong.
const STORM: Duration = Duration::from_secs(30);
/// How long all of it may take; what was owed is there long before.
const END: Duration = Duration::from_secs(300);
/// What is run when no seed is named.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

#[test]
fn whatever_fails_nobody_who_was_acknowledged_is_lost() {
    for seed in seeds() {
        let _replay = Replay(seed);
        let (first, second) = (history(seed), history(seed));
        if let Some(path) = setting("PLAZA_SIMULATION_LOG") {
            std::fs::write(path, &first).expect("written");
        }
        let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert!(first == second, "the same seed, another history: {differs:?}");
        assert!(first.lines().count() > 100, "hardly a thing happened:\n{first}");
    }
}

/// Runs a seed, and returns what happened.
fn history(seed: u64) -> String {
    let log = Log::default();
    tracing::subscriber::with_default(log.subscriber(), || simulate(seed));
    log.text()
}

fn simulate(seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(END)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(storm::LATENCY)
        .tcp_capacity(4096)
        .build();
    for part in Part::ALL {
        let place = host::Place::new(part, seed, folder.path());
        sim.host(part.name(), move || place.clone().run());
    }
    sim.client(people::HOST, people::run(seed));
    let mut storm = storm::Storm::new(seed);
    while !sim.step().expect("everybody is served in the end") {
        storm.strike(&mut sim);
    }
}

fn seeds() -> Vec<u64> {
    match setting("PLAZA_SIMULATION_SEED") {
        Some(seed) => vec![seed.parse().expect("PLAZA_SIMULATION_SEED is a number")],
        None => SEEDS.collect(),
    }
}

#[allow(clippy::disallowed_methods, reason = "the edge: how whoever looks into a failure names it")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says how to see a failure again.
struct Replay(u64);

impl Drop for Replay {
    #[allow(clippy::print_stderr, reason = "where a failing test speaks")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to see it again: PLAZA_SIMULATION_SEED={} cargo test -p tests --test simulation", self.0);
        }
    }
}

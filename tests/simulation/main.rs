//! The four services, each on a host of its own, in a simulated network (turmoil) and in simulated time: hosts crash and come back on their data,
//! links break, hold back and slow down, people sign up meanwhile. Whatever happens is drawn from a seed, and is the same each time.
//!
//! A seed that fails is printed; `PLAZA_SIMULATION_SEED=7 cargo test -p tests --test simulation` runs it alone, and with
//! `PLAZA_SIMULATION_LOG=/tmp/log` too, once, and what happened is written there.

mod host;
mod log;
mod people;
mod storm;

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

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

const SEED: &str = "PLAZA_SIMULATION_SEED";
const LOG: &str = "PLAZA_SIMULATION_LOG";

#[test]
fn whatever_fails_nobody_who_was_acknowledged_is_lost() {
    match (setting(SEED), setting(LOG)) {
        (Some(seed), Some(log)) => {
            let seed = seed.parse().expect("a seed is a number");
            fs::write(log, history(seed)).expect("written");
        }
        (Some(seed), None) => is_the_same_twice(&seed),
        (None, _) => SEEDS.for_each(|seed| is_the_same_twice(&seed.to_string())),
    }
}

/// Runs a seed twice, in processes of their own: tokio numbers the tasks of a process, and ends those of a crashed host in that order.
fn is_the_same_twice(seed: &str) {
    let _replay = Replay(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let runs = ["first", "second"].map(|name| {
        let log = folder.path().join(name);
        let mut test = Command::new(std::env::current_exe().expect("this test"));
        test.args(["whatever_fails_nobody_who_was_acknowledged_is_lost", "--exact", "--nocapture"]);
        (test.env(SEED, seed).env(LOG, &log).stdout(Stdio::null()).spawn().expect("it runs"), log)
    });
    let [first, second] = runs.map(|(mut run, log)| {
        assert!(run.wait().expect("it ends").success(), "seed {seed} fails");
        fs::read_to_string(log).expect("a log")
    });
    let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
    assert!(first == second, "the same seed, another history: {differs:?}");
    assert!(first.lines().count() > 100, "hardly a thing happened:\n{first}");
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

#[allow(clippy::disallowed_methods, reason = "the edge: how whoever looks into a failure names it")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says how to see a failure again.
struct Replay<'a>(&'a str);

impl Drop for Replay<'_> {
    #[allow(clippy::print_stderr, reason = "where a failing test speaks")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to see it again: PLAZA_SIMULATION_SEED={} cargo test -p tests --test simulation", self.0);
        }
    }
}

//! Whether time tells who has an account: each call for somebody unknown, verified, locked and never verified, taking turns, and the Mann-Whitney test of
//! each beside the unknown. A z beyond 3.3 comes of chance once in a thousand times, and fails the run.

use std::error::Error;

use clap::Args;
use proto::sso::v1::{SendOtpRequest, StartPasswordResetRequest, start_password_reset_request::Identifier};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    aims::{Aim, Aims},
    people::{self, Person, Plaza, id},
    println,
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many samples of each kind of person
    #[arg(long, default_value_t = 500)]
    samples: usize,
}

const KINDS: [&str; 4] = ["unknown", "verified", "locked", "unverified"];
/// People prepared at once.
const AT_ONCE: usize = 8;

/// Measures, and prints a table. SMS lets each address have a few messages alone, so that sign-ins and resets have one crowd, sign-ups and codes another.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let plaza = Plaza::start(10).await?;
    let (here, there) = (crowd(&plaza, "a", arguments.samples).await?, crowd(&plaza, "b", arguments.samples).await?);
    let (mut took, mut aims) = (Took::default(), Aims::default());
    for (kind, person) in turns(&here) {
        let guess = Person { password: "not the password".to_owned(), ..person.clone() };
        let begun = Instant::now();
        drop(plaza.auth().sign_in(people::sign_in(&guess)).await);
        took.add(kind, begun);
    }
    took.print("sign-in", &mut aims);
    for (kind, person) in turns(&here) {
        let request = reset(person);
        let begun = Instant::now();
        drop(plaza.auth().start_password_reset(request).await);
        took.add(kind, begun);
    }
    took.print("reset", &mut aims);
    let (mut verifications, mut rivals) = (Vec::new(), Vec::new());
    for (kind, person) in turns(&there) {
        let (username, password) = (format!("rival.{}", person.username), "the rival's own".to_owned());
        let rival = Person { username, password, ..person.clone() };
        let begun = Instant::now();
        let answer = plaza.auth().sign_up(people::sign_up(&rival)).await;
        took.add(kind, begun);
        verifications.push((kind, answer?.into_inner().verification.unwrap_or_default().verification_id));
        rivals.push((kind, rival));
    }
    took.print("sign-up", &mut aims);
    for (kind, verification_id) in verifications {
        let begun = Instant::now();
        drop(plaza.auth().send_otp(SendOtpRequest { request_id: id(), verification_id }).await);
        took.add(kind, begun);
    }
    took.print("send code", &mut aims);
    for (kind, rival) in &rivals {
        let begun = Instant::now();
        plaza.auth().sign_in(people::sign_in(rival)).await?;
        took.add(*kind, begun);
    }
    took.print("rival", &mut aims);
    plaza.stop().await;
    Ok(aims.conclude()?)
}

/// People of each kind.
type Crowd = [Vec<Person>; 4];

async fn crowd(plaza: &Plaza, name: &str, samples: usize) -> Result<Crowd, Box<dyn Error>> {
    let people = |kind: usize| (0..samples).map(|at| Person::new(&format!("{name}{kind}.{at}"))).collect();
    let crowd: Crowd = [people(0), people(1), people(2), people(3)];
    let mut joining = JoinSet::new();
    for (kind, person) in turns(&crowd) {
        let (plaza, person) = (plaza.clone(), person.clone());
        joining.spawn(async move { prepare(&plaza, kind, &person).await.map_err(|error| error.to_string()) });
        if joining.len() >= AT_ONCE {
            joining.join_next().await.ok_or("nobody joins")???;
        }
    }
    for joined in joining.join_all().await {
        joined?;
    }
    Ok(crowd)
}

/// Makes somebody what they are. Whoever it is, their address has had one message then: that much may be seen, and is not what is looked for.
async fn prepare(plaza: &Plaza, kind: usize, person: &Person) -> Result<(), Box<dyn Error>> {
    match kind {
        0 => drop(plaza.auth().start_password_reset(reset(person)).await?),
        3 => drop(plaza.auth().sign_up(people::sign_up(person)).await?),
        _ => {
            let joined = plaza.join(&person.username).await?;
            if kind == 2 {
                plaza.lock(&joined).await?;
            }
        }
    }
    Ok(())
}

fn reset(person: &Person) -> StartPasswordResetRequest {
    StartPasswordResetRequest { request_id: id(), identifier: Some(Identifier::Email(person.address.clone())) }
}

/// One of each kind, then the next of each; each time another kind is first.
fn turns(crowd: &Crowd) -> impl Iterator<Item = (usize, &Person)> {
    let kinds = |at| (at..at + KINDS.len()).map(|kind| kind % KINDS.len());
    (0..crowd[0].len()).flat_map(move |at| kinds(at).map(move |kind| (kind, &crowd[kind][at])))
}

/// How long calls took, by kind, in microseconds.
#[derive(Default)]
struct Took([Vec<f64>; 4]);

impl Took {
    fn add(&mut self, kind: usize, begun: Instant) {
        self.0[kind].push(begun.elapsed().as_secs_f64() * 1e6);
    }

    /// Prints the medians, judges the tests, and forgets them.
    fn print(&mut self, call: &str, aims: &mut Aims) {
        let [unknown, ..] = &self.0;
        for (kind, times) in KINDS.iter().zip(&self.0) {
            let mut sorted = times.clone();
            sorted.sort_by(f64::total_cmp);
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
            println(&format!("{call:<12}{kind:<12}{median:>12.0} µs, the median"));
            if *kind != KINDS[0] {
                let z = mann_whitney(unknown, times).abs();
                aims.judge(&format!("{call}, {kind}: z beside unknown"), z, Aim::AtMost(3.3));
            }
        }
        *self = Self::default();
    }
}

/// z of the Mann-Whitney U test, by its normal approximation: how far the ranks of `b` among both are from those of chance.
fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        a.iter().map(|time| (*time, false)).chain(b.iter().map(|time| (*time, true))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let ranks: f64 = (1_u32..).zip(&all).filter(|(_, (_, is_b))| *is_b).map(|(rank, _)| f64::from(rank)).sum();
    let (m, n) = (a.len() as f64, b.len() as f64);
    let u = ranks - n * (n + 1.0) / 2.0;
    (u - m * n / 2.0) / (m * n * (m + n + 1.0) / 12.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::mann_whitney;

    #[test]
    fn what_is_slower_stands_out() {
        let times = |from: u32| (from..from + 500).map(f64::from).collect::<Vec<_>>();
        let mixed = |odd: u32| (0..500).map(|at| f64::from(at * 2 + odd)).collect::<Vec<_>>();
        assert!(mann_whitney(&mixed(0), &mixed(1)).abs() < 1.0);
        assert!(mann_whitney(&times(0), &times(100)) > 3.3);
    }
}

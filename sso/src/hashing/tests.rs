use std::time::Duration;

use mesh::{clock::Random, deadline};
use tonic::Code;

use super::{Config, Hasher};
use crate::password::Password;

fn hasher(cost: u32, threads: usize, queue: usize) -> Hasher {
    Hasher::start(&Config { cost, threads, queue }, [3; 32], Random::seeded(1), false).unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text, None).unwrap()
}

#[tokio::test]
async fn checks_what_it_hashed() {
    let hasher = hasher(4, 2, 8);
    let stored = hasher.hash(&password("correct horse")).await.unwrap();
    assert!(stored.starts_with("$2b$04$"));
    assert!(hasher.check(&password("correct horse"), Some(stored.clone())).await.unwrap());
    assert!(!hasher.check(&password("correct house"), Some(stored.clone())).await.unwrap());
    assert!(!hasher.check(&password("correct horse"), None).await.unwrap());
    assert!(!hasher.is_outdated(&stored));
    assert!(hasher.is_outdated(&stored.replace("$04$", "$05$")));
}

/// How long a wrong password takes: of several, the quickest, for what else the machine does only adds.
async fn wrong(hasher: &Hasher, stored: Option<&String>) -> Duration {
    let (given, mut quickest) = (password("battery staple"), Duration::MAX);
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        assert!(!hasher.check(&given, stored.cloned()).await.unwrap());
        quickest = quickest.min(begun.elapsed());
    }
    quickest
}

#[tokio::test]
async fn a_hash_of_an_older_cost_takes_as_long_as_one_of_today() {
    let (old, today, given) = (hasher(4, 1, 8), hasher(10, 1, 8), password("correct horse"));
    let outdated = old.hash(&given).await.unwrap();
    let (nobody, somebody) = (wrong(&today, None).await, wrong(&today, Some(&outdated)).await);
    // Six costs apart are a factor of 64, which no load makes up for.
    assert!(somebody > nobody / 8, "{somebody:?} beside {nobody:?}");
    assert!(today.check(&given, Some(outdated)).await.unwrap());
}

#[tokio::test]
async fn nobody_takes_as_long_as_a_hash_from_before_the_cost_was_lowered() {
    let (old, today) = (hasher(10, 1, 8), hasher(4, 1, 8));
    let (outdated, fresh) =
        (old.hash(&password("correct horse")).await.unwrap(), today.hash(&password("another one")).await.unwrap());
    today.reckon_with(10);
    let somebody = wrong(&today, Some(&outdated)).await;
    for other in [None, Some(&fresh)] {
        let took = wrong(&today, other).await;
        assert!(took > somebody / 8, "{took:?} beside {somebody:?}");
    }
}

#[tokio::test]
async fn what_cannot_meet_its_deadline_is_refused_at_once() {
    let hasher = hasher(12, 1, 64);
    let begun = std::time::Instant::now();
    let deadline = deadline::Deadline::after(Duration::from_millis(100));
    let refused = deadline::within(deadline, hasher.hash(&password("correct horse"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(deadline::within(deadline, async { hasher.admit(1) }).await.is_err(), "and said so before");
    assert!(hasher.admit(1).is_ok(), "whoever has time may wait");
    assert!(begun.elapsed() < Duration::from_millis(50), "hashed before it refused");
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let hasher = hasher(8, 1, 1);
    let given = password("correct horse");
    let answers = tokio::join!(hasher.hash(&given), hasher.hash(&given), hasher.hash(&given), hasher.hash(&given));
    let refused = [answers.0.is_err(), answers.1.is_err(), answers.2.is_err(), answers.3.is_err()];
    assert!(refused.contains(&true), "four fitted into one place and one thread");
}

#[tokio::test]
async fn the_first_that_is_right_is_the_last_that_is_compared() {
    let hasher = hasher(4, 1, 8);
    let (one, other) = (password("correct horse"), password("battery staple"));
    let stored = [Some(hasher.hash(&one).await.unwrap()), Some(hasher.hash(&other).await.unwrap())];
    assert_eq!(hasher.first_right(&one, stored.clone()).await.unwrap(), Some(0));
    assert_eq!(hasher.first_right(&other, stored.clone()).await.unwrap(), Some(1));
    assert_eq!(hasher.first_right(&password("neither of the two"), stored.clone()).await.unwrap(), None);
    assert_eq!(hasher.first_right(&other, [None, stored[1].clone()]).await.unwrap(), Some(1));
    assert_eq!(hasher.first_right(&one, [None, None]).await.unwrap(), None);
}

#[tokio::test]
async fn two_hashes_want_the_time_of_two() {
    let hasher = hasher(12, 1, 64);
    let both = async { (hasher.admit(1).is_ok(), hasher.admit(2).is_ok()) };
    // The first guess is 300 ms.
    let deadline = deadline::Deadline::after(Duration::from_millis(450));
    assert_eq!(deadline::within(deadline, both).await, (true, false));
}

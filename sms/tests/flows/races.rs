//! Many at once, on threads and in real time. Each of these fails when the guard it is about is taken out of `store.rs`.

use std::{collections::HashMap, sync::Arc};

use proto::sms::v1::{SendOtpRequest, Verdict, VerifyOtpRequest};
use tokio::task::JoinSet;
use tonic::Code;

use crate::{
    engine::{Engine, on_both_engines_at_once},
    world::{World, other, refused},
};

on_both_engines_at_once! {
    of_eight_right_guesses_one_is_approved,
    of_fifty_wrong_guesses_five_are_compared,
    one_guess_repeated_at_once_is_counted_once,
    of_eight_sends_to_one_destination_one_goes_out,
    of_eight_openings_of_one_verification_one_succeeds,
}

/// The verdicts on guesses made at the same moment, counted.
async fn all_at_once(world: &Arc<World>, guesses: Vec<VerifyOtpRequest>) -> HashMap<Verdict, usize> {
    let mut tasks = JoinSet::new();
    for guess in guesses {
        let world = Arc::clone(world);
        tasks.spawn(async move { world.verify(&guess).await.unwrap().0 });
    }
    let mut verdicts = HashMap::new();
    for verdict in tasks.join_all().await {
        *verdicts.entry(verdict).or_default() += 1;
    }
    verdicts
}

async fn of_eight_right_guesses_one_is_approved(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    for round in 0..5 {
        let (opening, code) = world.opened(&format!("anna{round}@example.com")).await;
        let verdicts = all_at_once(&world, (0..8).map(|_| world.guess(&opening, &code)).collect()).await;
        assert_eq!(verdicts, HashMap::from([(Verdict::Approved, 1), (Verdict::CodeUsed, 7)]));
    }
}

async fn of_fifty_wrong_guesses_five_are_compared(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    let (opening, code) = world.opened("anna@example.com").await;
    let guesses = (1..=50).map(|by| world.guess(&opening, &other(&code, by))).collect();
    let verdicts = all_at_once(&world, guesses).await;
    assert_eq!(verdicts, HashMap::from([(Verdict::WrongCode, 5), (Verdict::GuessesExhausted, 45)]));
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::GuessesExhausted);
}

async fn one_guess_repeated_at_once_is_counted_once(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    let (opening, code) = world.opened("anna@example.com").await;
    let guess = world.guess(&opening, &code);
    let verdicts = all_at_once(&world, vec![guess; 8]).await;
    assert_eq!(verdicts, HashMap::from([(Verdict::Approved, 8)]));
}

async fn of_eight_sends_to_one_destination_one_goes_out(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (world, opening) = (Arc::clone(&world), world.opening("anna@example.com"));
        tasks.spawn(async move {
            match world.send(&opening).await {
                Ok(_) => "sent".to_owned(),
                Err(status) => refused::<()>(Err(status)).1,
            }
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort();
    assert_eq!(answers[0], "OTP_RESEND_TOO_SOON");
    assert_eq!(answers.iter().filter(|answer| *answer == "sent").count(), 1);
    assert_eq!(world.messages("anna@example.com").await.len(), 1);
}

async fn of_eight_openings_of_one_verification_one_succeeds(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    for _ in 0..5 {
        let id = world.id();
        let openings = (0..8).map(|number| world.opening(&format!("anna{number}-{id}@example.com")));
        let openings: Vec<_> =
            openings.map(|opening| SendOtpRequest { verification_id: id.clone(), ..opening }).collect();
        let mut tasks = JoinSet::new();
        for opening in openings {
            let world = Arc::clone(&world);
            tasks.spawn(async move { world.send(&opening).await.map_err(|status| status.code()) });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|code| *code == Code::AlreadyExists));
    }
}

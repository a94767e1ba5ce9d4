//! Checking codes: verdicts, counts, replays, lifetimes.

use proto::sms::v1::Verdict;
use tonic::Code;

use crate::{
    engine::{Engine, on_both_engines},
    world::{World, no, other, refused},
};

on_both_engines! {
    the_right_code_is_approved_once,
    the_sixth_guess_is_not_compared_even_if_it_is_right,
    the_fifth_guess_may_still_be_right,
    a_code_works_for_five_minutes_and_an_expired_one_costs_no_guess,
    a_code_belongs_to_its_verification_and_its_user,
    a_repeated_guess_gets_its_answer_again_and_costs_nothing,
    the_request_id_of_a_guess_stands_for_one_code,
    a_verification_lives_a_day,
    an_approval_is_kept_until_it_is_acknowledged,
    codes_can_be_longer,
}

async fn the_right_code_is_approved_once(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap(), (Verdict::Approved, 4));
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::CodeUsed);
    assert_eq!(world.verify(&world.guess(&opening, &other(&code, 1))).await.unwrap().0, Verdict::CodeUsed);
}

async fn the_sixth_guess_is_not_compared_even_if_it_is_right(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    for (by, left) in [(1, 4), (2, 3), (3, 2), (4, 1), (5, 0)] {
        let answer = world.verify(&world.guess(&opening, &other(&code, by))).await.unwrap();
        assert_eq!(answer, (Verdict::WrongCode, left));
    }
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap(), (Verdict::GuessesExhausted, 0));
}

async fn the_fifth_guess_may_still_be_right(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    for by in 1..=4 {
        world.verify(&world.guess(&opening, &other(&code, by))).await.unwrap();
    }
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap(), (Verdict::Approved, 0));
}

async fn a_code_works_for_five_minutes_and_an_expired_one_costs_no_guess(engine: Engine) {
    let world = World::new(engine).await;
    let (in_time, code) = world.opened("anna@example.com").await;
    let (late, late_code) = world.opened("bert@example.com").await;
    world.wait(299).await;
    assert_eq!(world.verify(&world.guess(&in_time, &code)).await.unwrap().0, Verdict::Approved);
    world.wait(1).await;
    let guess = world.guess(&late, &late_code);
    assert_eq!(world.verify(&guess).await.unwrap(), (Verdict::CodeExpired, 5));

    world.resend(&world.another(&late)).await.unwrap();
    assert_eq!(world.verify(&guess).await.unwrap(), (Verdict::CodeExpired, 5), "the same answer after a resend");
    let code = world.code("bert@example.com").await;
    assert_eq!(world.verify(&world.guess(&late, &code)).await.unwrap(), (Verdict::Approved, 4));
}

async fn a_code_belongs_to_its_verification_and_its_user(engine: Engine) {
    let world = World::new(engine).await;
    let (anna, code) = world.opened("anna@example.com").await;
    let (bert, _) = world.opened("bert@example.com").await;
    assert_eq!(world.verify(&world.guess(&bert, &code)).await.unwrap().0, Verdict::WrongCode);

    let mut guess = world.guess(&anna, &code);
    guess.user_id = bert.user_id;
    let nothing = no(Code::NotFound, "VERIFICATION_NOT_FOUND", None);
    assert_eq!(refused(world.verify(&guess).await), nothing);
    guess.verification_id = world.id();
    assert_eq!(refused(world.verify(&guess).await), nothing);
    assert_eq!(world.verify(&world.guess(&anna, &code)).await.unwrap(), (Verdict::Approved, 4), "neither cost a guess");
}

async fn a_repeated_guess_gets_its_answer_again_and_costs_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    let wrong = world.guess(&opening, &other(&code, 1));
    for _ in 0..9 {
        assert_eq!(world.verify(&wrong).await.unwrap(), (Verdict::WrongCode, 4));
    }
    let right = world.guess(&opening, &code);
    for _ in 0..9 {
        assert_eq!(world.verify(&right).await.unwrap(), (Verdict::Approved, 3));
    }
    world.acknowledge(&opening).await.unwrap();
    assert_eq!(world.verify(&right).await.unwrap(), (Verdict::Approved, 3), "acknowledged is not forgotten");
    assert_eq!(world.verify(&wrong).await.unwrap(), (Verdict::WrongCode, 4));
}

async fn the_request_id_of_a_guess_stands_for_one_code(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, code) = world.opened("anna@example.com").await;
    let mut guess = world.guess(&opening, &other(&code, 1));
    world.verify(&guess).await.unwrap();
    guess.code = code.clone();
    assert_eq!(refused(world.verify(&guess).await), no(Code::Aborted, "REQUEST_ID_REUSED", None));
    let right = world.guess(&opening, &code);
    assert_eq!(world.verify(&right).await.unwrap(), (Verdict::Approved, 3));
    guess.request_id = right.request_id;
    guess.code = other(&code, 2);
    assert_eq!(refused(world.verify(&guess).await), no(Code::Aborted, "REQUEST_ID_REUSED", None));
}

async fn a_verification_lives_a_day(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, _) = world.opened("anna@example.com").await;
    let nothing = no(Code::NotFound, "VERIFICATION_NOT_FOUND", None);
    world.wait(24 * 3600 - 1).await;
    assert_eq!(world.verify(&world.guess(&opening, "123456")).await.unwrap().0, Verdict::CodeExpired);
    world.wait(1).await;
    assert_eq!(refused(world.verify(&world.guess(&opening, "123456")).await), nothing);
    assert_eq!(refused(world.resend(&world.another(&opening)).await), nothing);
}

async fn an_approval_is_kept_until_it_is_acknowledged(engine: Engine) {
    let world = World::new(engine).await;
    let (kept, kept_code) = world.opened("anna@example.com").await;
    let (done, done_code) = world.opened("bert@example.com").await;
    let (kept_guess, done_guess) = (world.guess(&kept, &kept_code), world.guess(&done, &done_code));
    world.verify(&kept_guess).await.unwrap();
    world.verify(&done_guess).await.unwrap();
    world.acknowledge(&done).await.unwrap();
    world.acknowledge(&done).await.unwrap();
    world.acknowledge(&world.opening("unknown@example.com")).await.unwrap();

    // Step by step, so that the sweeper runs in between.
    for _ in 0..50 {
        world.wait(1800).await;
        tokio::task::yield_now().await;
    }
    let nothing = no(Code::NotFound, "VERIFICATION_NOT_FOUND", None);
    assert_eq!(refused(world.verify(&done_guess).await), nothing);
    assert_eq!(world.verify(&kept_guess).await.unwrap(), (Verdict::Approved, 4));
    assert_eq!(refused(world.verify(&world.guess(&kept, &kept_code)).await), nothing, "to that guess alone");
}

async fn codes_can_be_longer(engine: Engine) {
    let world = World::configured(engine, "[limits]\ncode_digits = 10\n").await;
    let (opening, code) = world.opened("anna@example.com").await;
    assert_eq!(code.len(), 10);
    assert_eq!(world.verify(&world.guess(&opening, &code[..6])).await.unwrap(), (Verdict::WrongCode, 4));
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::Approved);
}

//! How often: cool-downs and budgets, over verifications and over destinations.

use tonic::Code;

use crate::{
    engine::{Engine, on_both_engines},
    world::{World, no, other, refused},
};

on_both_engines! {
    resends_wait_longer_each_time,
    a_fresh_verification_is_no_way_around_the_cool_down,
    a_destination_has_five_messages_an_hour,
    a_destination_has_ten_messages_a_day,
    a_destination_has_fifteen_guesses_a_day,
}

async fn resends_wait_longer_each_time(engine: Engine) {
    let world = World::new(engine).await;
    let (opening, _) = world.opened("anna@example.com").await;
    for seconds in [30, 60, 120] {
        let soon = |millis| no(Code::ResourceExhausted, "OTP_RESEND_TOO_SOON", millis);
        assert_eq!(refused(world.resend(&world.another(&opening)).await), soon(seconds * 1000));
        world.wait(u64::try_from(seconds).unwrap() - 1).await;
        assert_eq!(refused(world.resend(&world.another(&opening)).await), soon(1000));
        world.wait(1).await;
        world.resend(&world.another(&opening)).await.unwrap();
    }
    world.wait(300).await;
    world.resend(&world.another(&opening)).await.unwrap();
    world.wait(7200).await;
    let spent = no(Code::ResourceExhausted, "OTP_SEND_LIMIT", None);
    assert_eq!(refused(world.resend(&world.another(&opening)).await), spent, "waiting does not help");
    assert_eq!(world.messages("").await.len(), 5);
}

async fn a_fresh_verification_is_no_way_around_the_cool_down(engine: Engine) {
    let world = World::new(engine).await;
    world.opened("anna@example.com").await;
    let soon = no(Code::ResourceExhausted, "OTP_RESEND_TOO_SOON", 30_000);
    assert_eq!(refused(world.send(&world.opening("anna@example.com")).await), soon);
    world.opened("bert@example.com").await;
}

async fn a_destination_has_five_messages_an_hour(engine: Engine) {
    let world = World::new(engine).await;
    for _ in 0..4 {
        world.opened("anna@example.com").await;
        world.wait(300).await;
    }
    let last = world.opening("anna@example.com");
    let otp = world.send(&last).await.unwrap();
    let hour_after_first = 1_767_225_600 + 3600;
    assert_eq!(otp.resend_after.unwrap().seconds, hour_after_first);
    world.wait(600).await;
    let full = no(Code::ResourceExhausted, "OTP_SEND_LIMIT", 1_800_000);
    assert_eq!(refused(world.send(&world.opening("anna@example.com")).await), full);
    assert_eq!(refused(world.resend(&world.another(&last)).await), full);
    world.wait(1800).await;
    world.opened("anna@example.com").await;
}

async fn a_destination_has_ten_messages_a_day(engine: Engine) {
    let world = World::new(engine).await;
    for _ in 0..10 {
        world.opened("anna@example.com").await;
        world.wait(3600).await;
    }
    let full = no(Code::ResourceExhausted, "OTP_SEND_LIMIT", 14 * 3_600_000);
    assert_eq!(refused(world.send(&world.opening("anna@example.com")).await), full);
    world.wait(14 * 3600).await;
    world.opened("anna@example.com").await;
}

async fn a_destination_has_fifteen_guesses_a_day(engine: Engine) {
    let world = World::new(engine).await;
    for _ in 0..3 {
        let (opening, code) = world.opened("anna@example.com").await;
        for by in 1..=5 {
            world.verify(&world.guess(&opening, &other(&code, by))).await.unwrap();
        }
        world.wait(3600).await;
    }
    let (opening, code) = world.opened("anna@example.com").await;
    let spent = no(Code::ResourceExhausted, "OTP_GUESS_LIMIT", 21 * 3_600_000);
    let guess = world.guess(&opening, &code);
    assert_eq!(refused(world.verify(&guess).await), spent, "even if it is right");

    world.wait(21 * 3600).await;
    world.resend(&world.another(&opening)).await.unwrap();
    let (_, left) = world.verify(&world.guess(&opening, &other(&code, 1))).await.unwrap();
    assert_eq!(left, 4, "what was refused was not counted");
}

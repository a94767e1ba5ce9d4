//! Messages without a code.

use std::{sync::Arc, time::Duration};

use proto::sms::v1::{Notice, SendMessageRequest};
use sms::carrier::Outcome;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{
    carrier::TestCarrier,
    engine::{Engine, on_both_engines, on_both_engines_at_once},
    world::{World, no, refused},
};

on_both_engines! {
    a_notice_reaches_its_destination_once_however_often_it_is_asked_for,
    a_notice_that_a_crash_cut_short_is_delivered,
    a_caller_who_hangs_up_does_not_stop_a_notice,
    a_carrier_that_cannot_be_reached_is_tried_for_seven_days,
    what_nobody_knows_to_have_arrived_is_tried_until_it_has,
    a_notice_that_is_refused_is_not_counted_as_done,
    notices_are_limited_by_destination_and_kind_and_touch_no_code,
    what_is_no_notice_is_refused_with_every_mistake,
}

on_both_engines_at_once! {
    one_request_in_eight_calls_at_once_is_one_message,
    of_twenty_notices_at_once_ten_are_taken_on,
}

const DAY: u64 = 24 * 3600;

async fn a_notice_reaches_its_destination_once_however_often_it_is_asked_for(engine: Engine) {
    let world = World::new(engine).await;
    let telling = world.telling("anna@example.com");
    for _ in 0..3 {
        world.tell(&telling).await.unwrap();
        sleep(Duration::from_secs(3600)).await;
    }
    let messages = world.messages("anna@example.com").await;
    assert_eq!(messages.len(), 1);
    assert!(messages[0].text.starts_with("Plaza: your password was changed."), "{}", messages[0].text);
    assert_eq!((messages[0].code.as_str(), messages[0].reference.as_str()), ("", ""));
    let other = SendMessageRequest { notice: Notice::PasswordReset.into(), ..telling.clone() };
    let elsewhere = SendMessageRequest { destination: world.telling("ben@example.com").destination, ..telling };
    for another in [other, elsewhere] {
        assert_eq!(refused(world.tell(&another).await), no(Code::Aborted, "REQUEST_ID_REUSED", None));
    }
}

async fn a_notice_that_a_crash_cut_short_is_delivered(engine: Engine) {
    let carrier = TestCarrier::crashing(1, Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    world.tell(&world.telling("anna@example.com")).await.unwrap();
    sleep(Duration::from_secs(17)).await;
    assert_eq!(carrier.delivered(), 0, "whoever took it may still be at it");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.delivered(), 1, "once");
}

async fn a_caller_who_hangs_up_does_not_stop_a_notice(engine: Engine) {
    let carrier = TestCarrier::new(Duration::from_secs(1), Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let telling = world.telling("anna@example.com");
    assert!(timeout(Duration::from_millis(100), world.tell(&telling)).await.is_err(), "hung up");
    world.tell(&telling).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.delivered(), 1);
}

async fn a_carrier_that_cannot_be_reached_is_tried_for_seven_days(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Unreachable);
    let world = World::with(engine, &carrier).await;
    world.tell(&world.telling("anna@example.com")).await.unwrap();
    sleep(Duration::from_secs(300)).await;
    let tried = carrier.delivered();
    assert!((10..60).contains(&tried), "{tried} times in five minutes");
    world.wait(7 * DAY - 600).await;
    sleep(Duration::from_secs(60)).await;
    assert!(carrier.delivered() > tried, "after six days and more");
    world.wait(600).await;
    sleep(Duration::from_secs(60)).await;
    let tried = carrier.delivered();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(carrier.delivered(), tried, "after seven it is given up");
}

async fn what_nobody_knows_to_have_arrived_is_tried_until_it_has(engine: Engine) {
    let hanging = TestCarrier::new(Duration::from_secs(60), Outcome::Sent);
    let unknown = TestCarrier::new(Duration::ZERO, Outcome::Unknown);
    let rejecting = TestCarrier::new(Duration::ZERO, Outcome::Unauthenticated);
    for carrier in [hanging, unknown, rejecting] {
        let world = World::with(engine, &carrier).await;
        world.tell(&world.telling("anna@example.com")).await.unwrap();
        sleep(Duration::from_secs(300)).await;
        let asked = carrier.asked();
        assert!((10..60).contains(&asked), "{asked} times in five minutes");
        assert_eq!(world.ends("done").await, 0.0);
    }
}

async fn a_notice_that_is_refused_is_not_counted_as_done(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Refused);
    let world = World::with(engine, &carrier).await;
    world.tell(&world.telling("anna@example.com")).await.unwrap();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(carrier.asked(), 1);
    assert_eq!((world.ends("done").await, world.ends("given_up").await), (0.0, 1.0));
}

async fn notices_are_limited_by_destination_and_kind_and_touch_no_code(engine: Engine) {
    let world = World::new(engine).await;
    for _ in 0..10 {
        world.tell(&world.telling("anna@example.com")).await.unwrap();
    }
    let late = world.telling("anna@example.com");
    let full = no(Code::ResourceExhausted, "MESSAGE_LIMIT", u128::from(DAY) * 1000);
    assert_eq!(refused(world.tell(&late).await), full);
    let reset = SendMessageRequest { notice: Notice::PasswordReset.into(), ..world.telling("anna@example.com") };
    world.tell(&reset).await.expect("another notice");
    world.tell(&world.telling("ben@example.com")).await.expect("somebody else");
    world.opened("anna@example.com").await;
    assert_eq!(world.messages("anna@example.com").await.len(), 12);
    world.wait(DAY).await;
    world.tell(&late).await.expect("a day later, under the same id");
}

async fn what_is_no_notice_is_refused_with_every_mistake(engine: Engine) {
    let world = World::new(engine).await;
    for notice in [0, 99] {
        let request = SendMessageRequest { request_id: "1".into(), notice, destination: None };
        let status = world.tell(&request).await.unwrap_err();
        for field in ["request_id", "notice", "destination"] {
            assert!(status.message().contains(field), "{}", status.message());
        }
    }
}

/// How many of the requests are taken on that are made at the same moment.
async fn all_at_once(world: &Arc<World>, tellings: Vec<SendMessageRequest>) -> usize {
    let mut tasks = JoinSet::new();
    for telling in tellings {
        let world = Arc::clone(world);
        tasks.spawn(async move { world.tell(&telling).await.is_ok() });
    }
    tasks.join_all().await.into_iter().filter(|taken| *taken).count()
}

async fn one_request_in_eight_calls_at_once_is_one_message(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    let telling = world.telling("anna@example.com");
    assert_eq!(all_at_once(&world, vec![telling; 8]).await, 8);
    assert_eq!(world.messages("anna@example.com").await.len(), 1);
}

async fn of_twenty_notices_at_once_ten_are_taken_on(engine: Engine) {
    let world = Arc::new(World::threaded(engine).await);
    let tellings = (0..20).map(|_| world.telling("anna@example.com")).collect();
    assert_eq!(all_at_once(&world, tellings).await, 10);
    assert_eq!(world.messages("anna@example.com").await.len(), 10);
}

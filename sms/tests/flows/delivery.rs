//! Between the commit and the carrier.

use std::time::Duration;

use proto::sms::v1::Delivery;
use sms::carrier::Outcome;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::world::{Engine, TestCarrier, World, no, on_both_engines, refused};

on_both_engines! {
    a_carrier_that_fails_is_an_answer_and_the_send_counts,
    a_carrier_that_hangs_is_given_up_on_within_the_deadline,
    a_caller_who_hangs_up_does_not_stop_the_delivery,
    two_sends_with_one_request_id_deliver_once_and_answer_the_same,
    a_real_carrier_has_no_inbox,
}

async fn a_carrier_that_fails_is_an_answer_and_the_send_counts(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Refused);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    let otp = world.send(&opening).await.unwrap();
    assert_eq!(otp.delivery(), Delivery::Failed);
    assert_eq!(world.send(&opening).await.unwrap(), otp);
    let soon = no(Code::ResourceExhausted, "OTP_RESEND_TOO_SOON", 30_000);
    assert_eq!(refused(world.resend(&world.another(&opening)).await), soon);
    assert_eq!(carrier.delivered(), 1);
}

async fn a_carrier_that_hangs_is_given_up_on_within_the_deadline(engine: Engine) {
    let carrier = TestCarrier::new(Duration::from_secs(60), Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let (opening, begun) = (world.opening("anna@example.com"), Instant::now());
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Failed);
    assert_eq!(begun.elapsed().as_millis() / 10, 150);
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Failed);
}

async fn a_caller_who_hangs_up_does_not_stop_the_delivery(engine: Engine) {
    let carrier = TestCarrier::new(Duration::from_secs(1), Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    assert!(timeout(Duration::from_millis(100), world.send(&opening)).await.is_err(), "hung up");
    assert_eq!(carrier.delivered(), 0);
    // The repeat waits for what becomes of the first.
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Sent);
    assert_eq!(carrier.delivered(), 1);
}

async fn two_sends_with_one_request_id_deliver_once_and_answer_the_same(engine: Engine) {
    let carrier = TestCarrier::new(Duration::from_millis(500), Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    let (one, two) = tokio::join!(world.send(&opening), world.send(&opening));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(carrier.delivered(), 1);
}

async fn a_real_carrier_has_no_inbox(engine: Engine) {
    let world = World::with(engine, &TestCarrier::new(Duration::ZERO, Outcome::Sent)).await;
    let answer = world.inbox.clone().list_messages(proto::sms::v1::ListMessagesRequest::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}

//! Between the commit and the carrier.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use db::Fate;
use proto::sms::v1::{Delivery, SendOtpRequest, Verdict, send_otp_request::Destination};
use sms::carrier::Outcome;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Code;

use crate::{
    carrier::TestCarrier,
    engine::{Engine, on_both_engines},
    world::{World, no, refused},
};

on_both_engines! {
    a_carrier_that_fails_is_an_answer_and_the_send_counts,
    a_carrier_that_hangs_is_given_up_on_within_the_deadline,
    a_caller_who_hangs_up_does_not_stop_the_delivery,
    two_sends_with_one_request_id_deliver_once_and_answer_the_same,
    a_message_that_a_crash_cut_short_is_delivered_with_the_same_code,
    a_worker_that_was_held_up_sends_nothing_that_another_has_taken,
    what_the_carrier_took_is_noted_once_the_database_lets_us_and_sent_once,
    what_could_not_be_noted_is_unknown_until_it_was_sent_again,
    a_carrier_that_cannot_be_reached_is_tried_again_while_the_code_works,
    a_code_that_was_replaced_is_not_delivered_late,
    a_code_that_the_carrier_did_not_take_for_our_credentials_is_sent_once_it_does,
    what_a_carrier_refused_or_may_have_taken_is_not_sent_twice,
    a_real_carrier_has_no_inbox,
}

/// How long whoever took a message keeps it.
const LEASE: Duration = Duration::from_secs(18);
/// The longest pause of a worker, and a little.
const LOOKS: Duration = Duration::from_millis(1600);

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

async fn a_message_that_a_crash_cut_short_is_delivered_with_the_same_code(engine: Engine) {
    let carrier = TestCarrier::crashing(1, Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    for _ in 0..2 {
        let unknown = world.send(&opening).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unavailable, "nobody knows what became of it");
    }
    sleep(LEASE - Duration::from_secs(4)).await;
    assert_eq!(carrier.delivered(), 0, "whoever took it may still be at it");
    sleep(Duration::from_secs(4) + LOOKS).await;
    assert_eq!(carrier.delivered(), 1);
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Sent);
    let code = carrier.code();
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::Approved);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.delivered(), 1, "and once only");
}

/// With a worker that looks for nothing else meanwhile: what it has claimed late is held by nobody, and it looks again while the carrier is at it.
async fn a_worker_that_was_held_up_sends_nothing_that_another_has_taken(engine: Engine) {
    // Each carrier has a worker that claims.
    for (job, times) in [("find_delivery", 1), ("claim_deliveries", 2)] {
        let carrier = TestCarrier::crashing_and_slow(1, Duration::from_millis(1400), Outcome::Sent);
        let left = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&left);
        let is_late =
            move |name| name == job && counted.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let fate = move |name| if is_late(name) { Fate::Late(LEASE + LOOKS) } else { Fate::Run };
        let world = World::with_faults(engine, &carrier, db::Faults::new(fate)).await;
        let number = Destination::PhoneNumber("+84912345678".to_owned());
        let (opening, begun) = (SendOtpRequest { destination: Some(number), ..world.opening("") }, Instant::now());
        assert_eq!(world.send(&opening).await.unwrap_err().code(), Code::Unavailable);
        sleep_until(begun + LEASE).await;
        left.store(times, SeqCst);
        sleep(3 * LEASE).await;
        assert_eq!(carrier.delivered(), 1, "{job}");
    }
}

/// Faults that refuse to note what a carrier said, so many times.
fn unnoted(times: usize) -> (db::Faults, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(times));
    let counted = Arc::clone(&left);
    let fate = move |name| match name {
        "record_outcome" if counted.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() => Fate::Refuse,
        _ => Fate::Run,
    };
    (db::Faults::new(fate), left)
}

async fn what_the_carrier_took_is_noted_once_the_database_lets_us_and_sent_once(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Sent);
    let world = World::with_faults(engine, &carrier, unnoted(2).0).await;
    let opening = world.opening("anna@example.com");
    let otp = world.send(&opening).await.unwrap();
    assert_eq!(otp.delivery(), Delivery::Sent);
    assert_eq!(world.send(&opening).await.unwrap(), otp);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.delivered(), 1);
}

async fn what_could_not_be_noted_is_unknown_until_it_was_sent_again(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Sent);
    let (faults, left) = unnoted(usize::MAX);
    let world = World::with_faults(engine, &carrier, faults).await;
    let opening = world.opening("anna@example.com");
    let otp = world.send(&opening).await.unwrap();
    assert_eq!(otp.delivery(), Delivery::Sent);
    let code = carrier.code();
    sleep(Duration::from_secs(4)).await;
    let unknown = world.send(&opening).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unavailable, "a message that arrived is not said to have failed");
    // The first holder has given up, and a worker has sent it again.
    sleep(LEASE).await;
    left.store(0, SeqCst);
    sleep(LEASE).await;
    assert_eq!(world.send(&opening).await.unwrap(), otp, "as it was told at first");
    let texts: HashSet<_> = carrier.got.lock().unwrap().values().flatten().map(|one| one.text.clone()).collect();
    assert_eq!((carrier.got.lock().unwrap().len(), texts.len()), (1, 1), "one message, under one id");
    assert_eq!(world.verify(&world.guess(&opening, &code)).await.unwrap().0, Verdict::Approved, "the first works");
}

async fn a_carrier_that_cannot_be_reached_is_tried_again_while_the_code_works(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Unreachable);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Failed);
    sleep(Duration::from_secs(299)).await;
    let tried = carrier.delivered();
    assert!((10..60).contains(&tried), "{tried} times in five minutes");
    sleep(Duration::from_secs(600)).await;
    assert!(carrier.delivered() <= tried + 1, "nobody wants an expired code");
}

async fn a_code_that_was_replaced_is_not_delivered_late(engine: Engine) {
    let carrier = TestCarrier::crashing(1, Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let opening = world.opening("anna@example.com");
    assert_eq!(world.send(&opening).await.unwrap_err().code(), Code::Unavailable);
    // All at once: no worker runs in between.
    world.wait(31).await;
    assert_eq!(world.resend(&world.another(&opening)).await.unwrap().delivery(), Delivery::Sent);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(carrier.delivered(), 1, "the second alone");
    assert_eq!(world.send(&opening).await.unwrap().delivery(), Delivery::Failed, "nobody sends the first any more");
    assert_eq!(world.verify(&world.guess(&opening, &carrier.code())).await.unwrap().0, Verdict::Approved);
}

async fn a_code_that_the_carrier_did_not_take_for_our_credentials_is_sent_once_it_does(engine: Engine) {
    let carrier = TestCarrier::new(Duration::ZERO, Outcome::Unauthenticated);
    let world = World::with(engine, &carrier).await;
    assert_eq!(world.send(&world.opening("anna@example.com")).await.unwrap().delivery(), Delivery::Failed);
    sleep(Duration::from_secs(299)).await;
    assert!((10..60).contains(&carrier.asked()), "{} times in five minutes", carrier.asked());
}

async fn what_a_carrier_refused_or_may_have_taken_is_not_sent_twice(engine: Engine) {
    for outcome in [Outcome::Refused, Outcome::InvalidDestination, Outcome::Unknown] {
        let carrier = TestCarrier::new(Duration::ZERO, outcome);
        let world = World::with(engine, &carrier).await;
        world.send(&world.opening("anna@example.com")).await.unwrap();
        sleep(Duration::from_secs(120)).await;
        assert_eq!(carrier.delivered(), 1, "{outcome:?}");
    }
}

async fn a_real_carrier_has_no_inbox(engine: Engine) {
    let world = World::with(engine, &TestCarrier::new(Duration::ZERO, Outcome::Sent)).await;
    let answer = world.inbox.clone().list_messages(proto::sms::v1::ListMessagesRequest::default()).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}

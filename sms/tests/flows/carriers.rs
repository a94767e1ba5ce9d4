//! Two carriers, of text messages and of mail.

use std::time::Duration;

use proto::sms::v1::{SendOtpRequest, send_otp_request::Destination};
use sms::{Destination as To, carrier::Outcome};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    carrier::TestCarrier,
    engine::{Engine, on_both_engines},
    world::World,
};

on_both_engines! {
    a_carrier_that_hangs_holds_up_none_of_the_others_messages,
}

/// Messages for each: more than two rounds of a worker.
const EACH: u32 = 33;
/// The lease, and the longest pause of a worker.
const TAKEN_OVER: Duration = Duration::from_millis(18_000 + 1500);

/// That each has a worker: one for both would let the quick one's messages wait for the slow one's calls.
async fn a_carrier_that_hangs_holds_up_none_of_the_others_messages(engine: Engine) {
    let carrier = TestCarrier::crashing_and_slow(2 * EACH, Duration::from_millis(1400), Outcome::Sent);
    let world = World::with(engine, &carrier).await;
    let mut sending = JoinSet::new();
    for number in 0..EACH {
        let mail = world.opening(&format!("person{number}@example.com"));
        let phone = Destination::PhoneNumber(format!("+8491234{}", 5000 + number));
        let text = SendOtpRequest { destination: Some(phone), ..world.opening("") };
        for request in [mail, text] {
            let mut otp = world.otp.clone();
            sending.spawn(async move { otp.send_otp(request).await.map(drop) });
        }
    }
    let unknown = sending.join_all().await.into_iter().filter(|sent| sent.is_err()).count();
    assert_eq!(unknown, 2 * EACH as usize);
    sleep(TAKEN_OVER + Duration::from_millis(200)).await;
    let mails =
        carrier.got.lock().unwrap().values().flatten().filter(|one| matches!(one.destination, To::Email(_))).count();
    assert_eq!(mails, EACH as usize);
}

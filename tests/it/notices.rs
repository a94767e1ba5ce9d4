//! Users are told what was done with their accounts, whatever is down when.

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::{
    ChangePasswordRequest, CompletePasswordResetRequest, DeleteAccountRequest, StartPasswordResetRequest, Tokens,
    start_password_reset_request::Identifier,
};

use crate::world::{Person, World, bearer, id};

pub(crate) const CHANGED: &str = "Plaza: your password was changed.";
/// What SMS is still to be handed.
const OWED: &str = "plaza_work_pending{work=\"notices\",target=\"sms\"}";
pub(crate) const RESET: &str = "Plaza: your password was replaced by means of a code";

impl World {
    /// How many notices that begin like this have reached an address.
    pub(crate) async fn notices(&self, address: &str, begins: &str) -> usize {
        // Nobody waits for one: it is on its way once the call is over.
        self.pass(Duration::from_secs(2)).await;
        self.messages(address).await.iter().filter(|message| message.text.starts_with(begins)).count()
    }

    /// Lets time pass until nobody is still to be told anything; a minute at most.
    pub(crate) async fn told(&self) {
        for _ in 0..120 {
            if self.metric(OWED).await == 0.0 {
                return;
            }
            self.pass(Duration::from_millis(500)).await;
        }
        panic!("somebody is still to be told after a minute");
    }
}

/// Changes the password to another, and back at the next time.
async fn change(world: &World, tokens: &Tokens, times: usize) {
    let passwords = [Person::with_email("anna").password, "a whole new password".to_owned()];
    for at in 0..times {
        let (old_password, new_password) = (passwords[at % 2].clone(), passwords[(at + 1) % 2].clone());
        let request = ChangePasswordRequest { request_id: id(), old_password, new_password };
        world.account().change_password(bearer(request, &tokens.access_token)).await.expect("changed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_told_once() {
    let world = World::start().await;
    for anna in [Person::with_email("anna"), Person::with_phone("ben", "+84912345678")] {
        let (_, tokens) = world.join(&anna).await;
        assert_eq!(world.notices(&anna.address, CHANGED).await, 0);
        let new_password = "a whole new password".to_owned();
        let request = ChangePasswordRequest { request_id: id(), old_password: anna.password.clone(), new_password };
        for _ in 0..2 {
            world.account().change_password(bearer(request.clone(), &tokens.access_token)).await.expect("repeatable");
        }
        assert_eq!(world.notices(&anna.address, CHANGED).await, 1);
        let refused = ChangePasswordRequest { request_id: id(), ..request };
        world.account().change_password(bearer(refused, &tokens.access_token)).await.expect_err("the old one");
        assert_eq!(world.notices(&anna.address, CHANGED).await, 1, "a refusal is not told");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_told_and_costs_no_code() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    world.pass(Duration::from_secs(60)).await;
    let start =
        || StartPasswordResetRequest { request_id: id(), identifier: Some(Identifier::Email(anna.address.clone())) };
    let pending = world.auth().start_password_reset(start()).await.expect("a code").into_inner().verification;
    let complete = CompletePasswordResetRequest {
        request_id: id(),
        verification_id: pending.as_ref().expect("a verification").verification_id.clone(),
        code: world.code(&anna.address).await,
        new_password: "a whole new password".to_owned(),
    };
    world.auth().complete_password_reset(complete).await.expect("replaced");
    assert_eq!((world.notices(&anna.address, RESET).await, world.notices(&anna.address, CHANGED).await), (1, 0));
    let open = pending.and_then(|pending| pending.resend_after).expect("a time");
    let wait = std::time::SystemTime::try_from(open).expect("a time").duration_since(world.now()).unwrap_or_default();
    world.pass(wait).await;
    world.auth().start_password_reset(start()).await.expect("when it was said to be possible before the notice");
}

#[tokio::test(start_paused = true)]
async fn a_notice_outlives_an_outage_of_sms_and_restarts() {
    let mut world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    world.plaza().withdraw(Part::Sms);
    change(&world, &tokens, 3).await;
    world.pass(Duration::from_secs(90)).await;
    assert_eq!(world.metric(OWED).await, 1.0, "what was not told yet is told once");
    world.restart().await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.notices(&anna.address, CHANGED).await, 1);
    assert_eq!(world.metric(OWED).await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_notices_waits_for_its_day_and_the_last_is_not_lost() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    for _ in 0..6 {
        change(&world, &tokens, 1).await;
        world.pass(Duration::from_secs(5)).await;
        let back = ChangePasswordRequest {
            request_id: id(),
            old_password: "a whole new password".to_owned(),
            new_password: anna.password.clone(),
        };
        world.account().change_password(bearer(back, &tokens.access_token)).await.expect("changed back");
        world.pass(Duration::from_secs(5)).await;
    }
    assert_eq!(world.notices(&anna.address, CHANGED).await, 10, "of twelve");
    world.leap(Duration::from_secs(24 * 3600)).await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.notices(&anna.address, CHANGED).await, 11, "one for the two that waited");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_deleted_leaves_no_notice_behind() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, tokens) = world.join(&anna).await;
    world.plaza().withdraw(Part::Sms);
    change(&world, &tokens, 2).await;
    let delete = DeleteAccountRequest { request_id: id(), password: anna.password.clone() };
    world.account().delete_account(bearer(delete, &tokens.access_token)).await.expect("deleted");
    assert_eq!(world.metric(OWED).await, 0.0);
    world.plaza().publish(Part::Sms);
    assert_eq!(world.notices(&anna.address, CHANGED).await, 0);
}

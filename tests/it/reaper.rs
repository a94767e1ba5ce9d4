//! Whom the reaper leaves alone: in time in which nothing ran nobody could verify anything.

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::sign_in_response::Outcome;

use crate::world::{Person, World, success, verification};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl World {
    /// Passes a long time in which all runs, in steps that nobody takes for an outage.
    pub(crate) async fn live(&self, time: Duration) {
        let end = self.now() + time;
        while let Ok(left) = end.duration_since(self.now())
            && !left.is_zero()
        {
            self.leap(left.min(14 * MINUTE)).await;
            self.pass(Duration::from_millis(1)).await;
        }
    }
}

/// She is unverified in the backup, and her sign-up is older than a day.
#[tokio::test(start_paused = true)]
async fn who_verified_after_the_backup_that_was_restored_has_another_day() {
    let mut world = World::start().await;
    let (anna, ghost) = (Person::with_email("anna"), Person::with_email("ghost"));
    let pending = verification(&world.sign_up(&anna).await.expect("signs up"));
    let ghost_id = world.sign_up(&ghost).await.expect("signs up").user.expect("a user").id;
    world.live(HOUR).await;
    let backup = world.back_up(Part::Sso).await;
    world.send(&pending).await.expect("another code, for the first is old");
    let (user, _) = success(world.verify(&pending, &world.code(&anna.address).await).await.expect("verifies"));
    world.live(2 * HOUR).await;
    world.leap(33 * HOUR).await;
    world.restore(Part::Sso, Some(&backup)).await;

    world.live(23 * HOUR).await;
    assert!(world.sso_knows(&user.id).await.is_some(), "she has a day from the restore on");
    let Some(Outcome::Verification(again)) = world.sign_in(&anna).await.expect("an answer").outcome else {
        panic!("the backup does not know that she verified")
    };
    world.send(&again.verification_id).await.expect("sends");
    let code = world.code(&anna.address).await;
    success(world.verify(&again.verification_id, &code).await.expect("verifies"));
    world.live(2 * HOUR).await;
    world.settled().await;
    assert!(world.sso_knows(&user.id).await.is_some());
    world.agree(&user.id, "after the restore").await;
    assert_eq!(world.sso_knows(&ghost_id).await, None, "who did nothing with the day goes");
    world.agree(&ghost_id, "after the reaper").await;
}

/// Half an hour of outage a day, as a machine has that is switched off at night, would leave sign-ups for ever.
#[tokio::test(start_paused = true)]
async fn outages_every_day_do_not_keep_who_never_verified() {
    let world = World::start().await;
    let ghost_id = world.sign_up(&Person::with_email("ghost")).await.expect("signs up").user.expect("a user").id;
    let mut days = 0;
    while world.sso_knows(&ghost_id).await.is_some() {
        assert!((0..8).contains(&days), "still there after {days} days");
        world.live(23 * HOUR).await;
        world.leap(HOUR / 2).await;
        days += 1;
    }
    assert!(days > 3, "gone after {days} days");
    world.settled().await;
    world.agree(&ghost_id, "after the reaper").await;
}

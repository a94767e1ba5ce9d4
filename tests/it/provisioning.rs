//! Social and Blog know every user, whatever is down when.

use std::time::Duration;

use onebox::Part;
use proto::{
    social::v1 as social,
    sso::v1::{GetProvisioningRequest, Provisioning, ProvisioningState, Target},
};
use tonic::Code;

use crate::world::{Person, World, state};

impl World {
    /// How far the targets know a user, as an operator sees it.
    pub(crate) async fn provisioning(&self, user_id: &str) -> Vec<Provisioning> {
        let request = self.as_operator(GetProvisioningRequest { user_id: user_id.to_owned() });
        self.users().get_provisioning(request).await.expect("it answers").into_inner().provisioning
    }

    /// Lets time pass until every target knows the user; a minute at most.
    pub(crate) async fn provisioned(&self, user_id: &str) {
        for _ in 0..120 {
            if self.provisioning(user_id).await.iter().all(|one| one.state() == ProvisioningState::Done) {
                return;
            }
            self.pass(Duration::from_millis(500)).await;
        }
        panic!("still owed after a minute: {:?}", self.provisioning(user_id).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_leaves_it_pending_and_learns_of_it_later() {
    let world = World::start().await;
    world.plaza().withdraw(Part::Social);
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up all the same");
    let user_id = signed_up.user.expect("a user").id;
    assert_eq!(state(&signed_up.provisioning, Target::Social), ProvisioningState::Pending);
    assert_eq!(state(&signed_up.provisioning, Target::Blog), ProvisioningState::Done);
    let owed = signed_up.provisioning.iter().find(|one| one.target() == Target::Social).expect("named");
    assert_eq!((owed.attempts, owed.last_error.as_str()), (1, "UNAVAILABLE"));

    world.pass(Duration::from_secs(120)).await;
    let owed = world.provisioning(&user_id).await;
    assert_eq!(state(&owed, Target::Social), ProvisioningState::Pending, "it is never given up");
    assert!(owed[0].attempts > 3, "it was not tried again: {owed:?}");

    world.plaza().publish(Part::Social);
    world.provisioned(&user_id).await;
    let key = Some(social::get_profile_request::Key::UserId(user_id));
    let profile = world.profiles().get_profile(social::GetProfileRequest { key }).await.expect("known now");
    assert_eq!(profile.into_inner().profile.expect("a profile").username, "anna");
}

// On threads of its own, for an answer that overtakes its record is a matter of those.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_answer_says_of_an_attempt_in_vain_is_what_came_of_it() {
    let world = World::start().await;
    for part in [Part::Social, Part::Blog] {
        world.plaza().withdraw(part);
    }
    let sign_up = async |name| world.sign_up(&Person::with_email(name)).await.expect("signs up all the same");
    let answers = tokio::join!(sign_up("anna"), sign_up("ben"), sign_up("cleo"), sign_up("dora"));
    for signed_up in <[_; 4]>::from(answers) {
        let came: Vec<_> = signed_up.provisioning.iter().map(|one| (one.attempts, one.last_error.as_str())).collect();
        assert_eq!(came, [(1, "UNAVAILABLE"); 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_survives_a_restart() {
    let mut world = World::start().await;
    world.plaza().withdraw(Part::Blog);
    world.plaza().withdraw(Part::Social);
    let signed_up = world.sign_up(&Person::with_email("anna")).await.expect("signs up");
    world.restart().await;
    world.provisioned(&signed_up.user.expect("a user").id).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_nobody_knows_is_not_found() {
    let world = World::start().await;
    let request = world.as_operator(GetProvisioningRequest { user_id: crate::world::nobody() });
    let refused = world.users().get_provisioning(request).await.expect_err("nobody");
    assert_eq!(refused.code(), Code::NotFound);
}

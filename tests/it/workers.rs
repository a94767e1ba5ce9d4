//! What goes on in the background goes on after a panic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use db::{Fate, Faults};
use onebox::Part;

use crate::world::{Person, World};

/// That a worker begins again (`mesh::Workers`): without it nobody would tell the targets what is owed, in a process that is ready.
#[tokio::test(start_paused = true)]
async fn a_worker_that_panicked_begins_again() {
    let left = Arc::new(AtomicUsize::new(2));
    let once_each = move |job: &str| {
        let one_less = |left: usize| left.checked_sub(1);
        if job == "claim_provisioning" && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            panic!("on purpose");
        }
        Fate::Run
    };
    let faults = onebox::Faults { databases: [(Part::Sso, Faults::new(once_each))].into(), ..Default::default() };
    let world = World::with_faults(faults).await;
    world.plaza().withdraw(Part::Blog);
    let user_id = world.sign_up(&Person::with_email("anna")).await.expect("signs up").user.expect("a user").id;
    world.pass(Duration::from_secs(3)).await;
    world.plaza().publish(Part::Blog);
    world.settled().await;
    world.agree(&user_id, "after the panics").await;
    assert_eq!(world.metric("plaza_worker_panics_total{service=\"sso\"}").await, 2.0);
}

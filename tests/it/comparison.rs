//! The comparison that goes on by itself, through restarts.

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

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn restarts_do_not_put_it_off() {
    let mut world = World::start().await;
    let (user, _) = world.join(&Person::with_email("anna")).await;
    world.restore(Part::Blog, None).await;
    for _ in 0..7 {
        world.leap(HOUR).await;
        world.restart().await;
    }
    world.pass(Duration::from_secs(70)).await;
    world.settled().await;
    world.agree(&user.id, "after seven hours and as many restarts").await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was_and_nothing_is_compared_twice() {
    let pages = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pages);
    let fate = move |job: &str| {
        count.fetch_add(usize::from(job == "compare_users"), Ordering::SeqCst);
        Fate::Run
    };
    let faults = onebox::Faults { databases: [(Part::Sso, Faults::new(fate))].into(), ..Default::default() };
    let mut world = World::with_faults(faults).await;
    // Two pages of each target.
    for number in 0..201 {
        world.sign_up(&Person::with_email(&format!("person{number}"))).await.expect("signs up");
    }
    world.leap(6 * HOUR).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(pages.load(Ordering::SeqCst), 2, "the first of each");
    world.restart().await;
    world.pass(Duration::from_secs(70)).await;
    assert_eq!(pages.load(Ordering::SeqCst), 4, "and the second");
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(pages.load(Ordering::SeqCst), 4, "no more for six hours");
}

//! What an operator's retry of all that is parked does while the target still refuses, on threads and in real time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use db::{Fate, Faults};
use onebox::{Edge, Part};
use proto::sso::v1::{
    ListProvisioningRequest, ProvisioningState, RetryProvisioningRequest, Target, retry_provisioning_request::Scope,
};

use crate::{
    targets::Stubborn,
    world::{Person, World},
};

/// More than one transaction takes.
const PARKED: usize = 120;
/// What one transaction takes.
const PAGE: usize = 100;

/// Lets each page of a retry wait until what the pages before it made due is parked again.
#[derive(Clone, Default)]
struct Slow {
    pages: Arc<AtomicUsize>,
    settled: Arc<AtomicUsize>,
}

impl Slow {
    fn faults(&self) -> Faults {
        let Self { pages, settled } = self.clone();
        Faults::new(move |job| {
            if job == "settle_provisioning" {
                settled.fetch_add(1, Ordering::SeqCst);
            }
            if job == "retry_parked_provisioning" {
                let (wanted, begun) = (PAGE * pages.fetch_add(1, Ordering::SeqCst), Instant::now());
                while settled.load(Ordering::SeqCst) < wanted.min(PARKED) && begun.elapsed() < Duration::from_secs(4) {
                    thread::yield_now();
                }
            }
            Fate::Run
        })
    }
}

/// The cursor of `retry_parked`: without it a target that still refuses keeps the call busy until its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_is_parked_again_meanwhile_is_not_tried_twice_by_one_call() {
    let (stubborn, slow) = (Stubborn::default(), Slow::default());
    let faults = onebox::Faults { databases: [(Part::Sso, slow.faults())].into(), ..stubborn.faults() };
    let world = World::start_at(Edge { faults, ..Edge::system() }).await;
    stubborn.refuse(true);
    for number in 0..PARKED {
        world.sign_up(&Person::with_email(&format!("person{number}"))).await.expect("signs up");
    }
    let parked = ListProvisioningRequest { state: ProvisioningState::Parked.into(), ..Default::default() };
    assert_eq!(world.owed(parked).await.len(), PARKED);
    slow.settled.store(0, Ordering::SeqCst);
    let request = RetryProvisioningRequest { scope: Some(Scope::ParkedOf(Target::Blog.into())) };
    let retried = world.users().retry_provisioning(world.as_operator(request)).await.expect("retried").into_inner();
    assert_eq!(retried.retried, 120, "each once");
}

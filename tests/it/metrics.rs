//! What whoever runs it sees of the work that is owed.

use std::time::Duration;

use onebox::Part;
use proto::sso::v1::{RetryProvisioningRequest, Target, retry_provisioning_request::Scope};

use crate::{
    targets::Stubborn,
    world::{Person, World},
};

impl World {
    /// A figure on the page of the admin port, by its name with its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.page().await;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().expect("a number")
    }

    /// The page of the admin port.
    pub(crate) async fn page(&self) -> String {
        let admin = mesh::Admin::new(mesh::Shutdown::manual());
        self.plaza().describe(&admin);
        admin.metrics().await
    }
}

async fn crowd(world: &World, from: usize, to: usize) {
    for number in from..to {
        world.sign_up(&Person::with_email(&format!("person{number}"))).await.expect("signs up");
    }
}

/// A figure of provisioning.
async fn figure(world: &World, name: &str, target: &str, more: &str) -> f64 {
    world.metric(&format!("plaza_work_{name}{{work=\"provisioning\",target=\"{target}\"{more}}}")).await
}

async fn attempts(world: &World, target: &str, by: &str, end: &str) -> f64 {
    figure(world, "attempts_total", target, &format!(",by=\"{by}\",end=\"{end}\"")).await
}

async fn down(world: &World, target: &str) -> f64 {
    world.metric(&format!("plaza_provisioning_target_down{{target=\"{target}\"}}")).await
}

#[tokio::test(start_paused = true)]
async fn an_outage_shows_as_what_is_pending_how_old_it_is_and_who_settled_it() {
    let world = World::start().await;
    crowd(&world, 0, 3).await;
    for target in ["social", "blog"] {
        assert_eq!(figure(&world, "pending", target, "").await, 0.0);
        assert_eq!(figure(&world, "oldest_seconds", target, "").await, 0.0);
        assert_eq!(attempts(&world, target, "owner", "done").await, 3.0);
        assert_eq!(down(&world, target).await, 0.0);
    }
    world.plaza().withdraw(Part::Blog);
    crowd(&world, 3, 10).await;
    assert_eq!((down(&world, "blog").await, down(&world, "social").await), (1.0, 0.0));
    world.pass(Duration::from_secs(90)).await;
    assert_eq!(figure(&world, "pending", "blog", "").await, 7.0);
    assert_eq!(figure(&world, "pending", "social", "").await, 0.0);
    let age = figure(&world, "oldest_seconds", "blog", "").await;
    assert!((90.0..92.0).contains(&age), "{age}");
    assert!(attempts(&world, "blog", "owner", "postponed").await >= 1.0);

    world.plaza().publish(Part::Blog);
    world.settled().await;
    assert_eq!((down(&world, "blog").await, figure(&world, "pending", "blog", "").await), (0.0, 0.0));
    assert_eq!(attempts(&world, "blog", "owner", "done").await, 3.0);
    assert_eq!(attempts(&world, "blog", "worker", "done").await, 7.0);
    assert_eq!(attempts(&world, "social", "owner", "done").await, 10.0, "the fast path of Social is not hurt");
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_shows_until_it_is_retried() {
    let stubborn = Stubborn::default();
    let world = World::with_faults(stubborn.faults()).await;
    stubborn.refuse(true);
    crowd(&world, 0, 2).await;
    assert_eq!((figure(&world, "parked", "blog", "").await, figure(&world, "pending", "blog", "").await), (2.0, 0.0));
    assert_eq!(attempts(&world, "blog", "owner", "parked").await, 2.0);
    stubborn.refuse(false);
    let scope = Some(Scope::ParkedOf(Target::Blog.into()));
    let request = world.as_operator(RetryProvisioningRequest { scope });
    assert_eq!(world.users().retry_provisioning(request).await.expect("retried").into_inner().retried, 2);
    world.settled().await;
    assert_eq!(figure(&world, "parked", "blog", "").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn messages_are_counted_the_same_way() {
    let world = World::start().await;
    crowd(&world, 0, 2).await;
    let labels = "work=\"deliveries\",target=\"email\"";
    assert_eq!(world.metric(&format!("plaza_work_pending{{{labels}}}")).await, 0.0);
    let sent = format!("plaza_work_attempts_total{{{labels},by=\"owner\",end=\"done\"}}");
    assert_eq!(world.metric(&sent).await, 2.0);
}

#[tokio::test(start_paused = true)]
async fn transactions_are_counted_by_service_name_and_end() {
    let world = World::start().await;
    crowd(&world, 0, 2).await;
    let page = world.page().await;
    let counted = |service: &str, rest: &str| {
        let name = format!("db_client_operation_duration_seconds_count{{service=\"{service}\",");
        page.lines().filter(|line| line.starts_with(&name) && line.ends_with(rest)).count()
    };
    for (service, rest) in [
        ("sso", "db_operation_name=\"create_user\"} 2"),
        ("social", "db_operation_name=\"tell_user\"} 2"),
        ("blog", "db_operation_name=\"tell_user\"} 2"),
    ] {
        assert_eq!(counted(service, rest), 1, "{service} {rest}: {page}");
    }
    let families = page.matches("# TYPE db_client_operation_duration_seconds histogram").count();
    assert_eq!(families, 1, "the four services in one family");
}

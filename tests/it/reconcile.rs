//! A database that was lost, or restored from a backup, heals.

use std::time::Duration;

use onebox::Part;
use proto::{
    blog::v1::{self as blog, user_service_client::UserServiceClient as BlogUsers},
    sso::v1::{
        self as sso, AuditEventKind as Kind, AuditReason as Reason, DifferenceKind, OfficialTier,
        ReconcileProvisioningRequest, Target,
    },
};
use tonic::{Code, Status};

use crate::{
    audit,
    world::{Person, World, id},
};

/// Compares all pages of a target.
pub(crate) async fn reconcile(world: &World, ask: ReconcileProvisioningRequest) -> Vec<(String, DifferenceKind)> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = one_page(world, ReconcileProvisioningRequest { page_token, ..ask.clone() }).await.expect("a page");
        all.extend(page.differences.iter().map(|one| (one.user_id.clone(), one.kind())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn one_page(
    world: &World,
    ask: ReconcileProvisioningRequest,
) -> Result<sso::ReconcileProvisioningResponse, Status> {
    Ok(world.users().reconcile_provisioning(world.as_operator(ask)).await?.into_inner())
}

pub(crate) fn of(target: Target) -> ReconcileProvisioningRequest {
    ReconcileProvisioningRequest { target: target.into(), page_size: 3, ..Default::default() }
}

fn dry(target: Target) -> ReconcileProvisioningRequest {
    ReconcileProvisioningRequest { dry_run: true, ..of(target) }
}

async fn crowd(world: &World, from: usize, to: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in from..to {
        ids.push(world.join(&Person::with_email(&format!("person{number}"))).await.0.id);
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn a_target_that_lost_everything_is_told_of_everybody_again() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 8).await;
    world.pass(Duration::from_secs(61)).await;
    assert!(reconcile(&world, dry(Target::Blog)).await.is_empty(), "nothing differs");
    world.restore(Part::Blog, None).await;
    assert_eq!(world.blog_knows(&ids[0]).await, None);

    let mut found = reconcile(&world, dry(Target::Blog)).await;
    found.sort();
    let mut behind: Vec<_> = ids.iter().map(|id| (id.clone(), DifferenceKind::Behind)).collect();
    behind.sort();
    assert_eq!(found, behind);
    assert!(world.all_owed().await.is_empty(), "a dry run touches nothing");
    assert!(reconcile(&world, dry(Target::Social)).await.is_empty(), "Social lost nothing");

    reconcile(&world, of(Target::Blog)).await;
    world.settled().await;
    for user_id in &ids {
        world.agree(user_id, "after the loss").await;
    }
    assert!(reconcile(&world, dry(Target::Blog)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_restored_catches_up_with_changes_and_deletions() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 4).await;
    let backup = world.back_up(Part::Social).await;
    world.make_official(&ids[0], OfficialTier::Premium).await.expect("changed");
    world.delete(&id(), &ids[1]).await.expect("deleted");
    let late = crowd(&world, 4, 6).await;
    world.pass(Duration::from_secs(61)).await;
    world.restore(Part::Social, Some(&backup)).await;

    let found = reconcile(&world, of(Target::Social)).await;
    let kind = |id: &String| found.iter().find(|(found, _)| found == id).map(|(_, kind)| *kind);
    assert_eq!(kind(&ids[0]), Some(DifferenceKind::Behind));
    assert_eq!(kind(&ids[1]), Some(DifferenceKind::Deleted));
    assert_eq!((kind(&ids[2]), kind(&late[0])), (None, Some(DifferenceKind::Behind)));
    world.settled().await;
    for user_id in ids.iter().chain(&late) {
        world.agree(user_id, "after the restore").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_slow_job_deletes_again_whom_a_restored_target_brings_back() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 2).await;
    let backup = world.back_up(Part::Blog).await;
    world.delete(&id(), &ids[0]).await.expect("deleted");
    world.restore(Part::Blog, Some(&backup)).await;
    assert!(world.blog_knows(&ids[0]).await.is_some(), "it is back");
    assert!(reconcile(&world, dry(Target::Blog)).await.is_empty(), "what was deleted within a minute is left alone");
    world.leap(Duration::from_secs(6 * 3600)).await;
    world.pass(Duration::from_secs(60)).await;
    world.settled().await;
    for user_id in &ids {
        world.agree(user_id, "after six hours").await;
    }
    assert_eq!(world.blog_knows(&ids[0]).await, None);
    assert_eq!(world.metric("plaza_provisioning_unknown{target=\"blog\"}").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_sso_that_was_restored_becomes_the_latest_again() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 2).await;
    let backup = world.back_up(Part::Sso).await;
    world.make_official(&ids[0], OfficialTier::Premium).await.expect("changed");
    let lost = crowd(&world, 2, 3).await;
    world.pass(Duration::from_secs(61)).await;
    world.restore(Part::Sso, Some(&backup)).await;

    let found = reconcile(&world, of(Target::Blog)).await;
    assert!(found.contains(&(ids[0].clone(), DifferenceKind::Ahead)), "{found:?}");
    assert!(found.contains(&(lost[0].clone(), DifferenceKind::Unknown)), "{found:?}");
    world.settled().await;
    let known = world.sso_knows(&ids[0]).await.expect("known");
    assert_eq!((known.1, known.3), (1, 3), "what SSO holds, at a version above all");
    world.agree(&ids[0], "after the restore").await;
    assert!(world.blog_knows(&lost[0]).await.is_some(), "left alone");
}

/// `store::reconcile::outdo`: a target that has a later version ignores what it is told, and says so in its answer.
#[tokio::test(start_paused = true)]
async fn what_is_changed_after_a_restore_is_not_done_until_the_targets_have_it() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 2).await;
    let backup = world.back_up(Part::Sso).await;
    world.make_official(&ids[0], OfficialTier::Premium).await.expect("changed");
    for tier in [OfficialTier::Premium, OfficialTier::Verified, OfficialTier::Premium] {
        world.make_official(&ids[1], tier).await.expect("changed");
    }
    world.restore(Part::Sso, Some(&backup)).await;
    // Version 2 of SSO beside version 2 of the targets, and beside version 4.
    for user_id in &ids {
        world.make_official(user_id, OfficialTier::Verified).await.expect("changed");
        world.settled().await;
        world.agree(user_id, "though the targets were ahead").await;
    }
    let known = (world.sso_knows(&ids[0]).await.expect("known"), world.sso_knows(&ids[1]).await.expect("known"));
    assert_eq!((known.0.3, known.1.3), (3, 5), "beyond what the targets had");
}

#[tokio::test(start_paused = true)]
async fn an_sso_that_was_restored_forgets_no_deletion() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 3).await;
    let backup = world.back_up(Part::Sso).await;
    world.delete(&id(), &ids[0]).await.expect("deleted");
    world.delete(&id(), &ids[1]).await.expect("deleted");
    world.pass(Duration::from_secs(61)).await;
    world.restore(Part::Sso, Some(&backup)).await;
    assert!(world.sso_knows(&ids[0]).await.is_some(), "it is back");

    // A change, twice over, brings nobody back to life: it finds out.
    for tier in [OfficialTier::Verified, OfficialTier::Premium] {
        // Gone already, or owed.
        let _ = world.make_official(&ids[0], tier).await;
    }
    world.settled().await;
    world.agree(&ids[0], "after the changes").await;
    assert_eq!(world.sso_knows(&ids[0]).await, None);
    let told = audit::trail(&world, &ids[0]).await;
    let by_a_target =
        |(kind, reason): &(Kind, Reason)| *kind == Kind::UserDeleted && [Reason::Social, Reason::Blog].contains(reason);
    assert_eq!(told.iter().filter(|one| by_a_target(one)).count(), 1, "{told:?}");

    let kind = |found: &[(String, DifferenceKind)]| found.iter().find(|(id, _)| *id == ids[1]).map(|(_, kind)| *kind);
    assert_eq!(kind(&reconcile(&world, dry(Target::Blog)).await), Some(DifferenceKind::Behind));
    assert!(world.sso_knows(&ids[1]).await.is_some(), "a dry run touches nothing");
    reconcile(&world, of(Target::Blog)).await;
    world.settled().await;
    assert_eq!(world.sso_knows(&ids[1]).await, None);
    for user_id in &ids {
        world.agree(user_id, "after the comparison").await;
    }
    assert!(world.sso_knows(&ids[2]).await.is_some(), "nobody else goes");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_by_an_sso_that_was_restored_wins_over_later_versions() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 1).await;
    let backup = world.back_up(Part::Sso).await;
    for tier in [OfficialTier::Verified, OfficialTier::Premium, OfficialTier::Verified] {
        world.make_official(&ids[0], tier).await.expect("changed");
    }
    world.restore(Part::Sso, Some(&backup)).await;
    world.delete(&id(), &ids[0]).await.expect("deleted");
    world.settled().await;
    world.agree(&ids[0], "though the targets knew version 4").await;
}

#[tokio::test(start_paused = true)]
async fn the_slow_job_heals_by_itself_and_deletes_nobody() {
    let mut world = World::start().await;
    let ids = crowd(&world, 0, 3).await;
    world.restore(Part::Blog, None).await;
    let stranger = "01ba60d3-3800-7976-9a35-fb136de4a4f4".to_owned();
    let user =
        blog::User { id: stranger.clone(), username: "who".to_owned(), account_type: 1, official_tier: 0, version: 1 };
    let channel = world.plaza().peer(Part::Blog, Part::Sso).expect("it runs");
    BlogUsers::new(channel).create_user(blog::CreateUserRequest { user: Some(user) }).await.expect("told by nobody");
    world.leap(Duration::from_secs(6 * 3600)).await;
    world.pass(Duration::from_secs(60)).await;
    world.settled().await;
    for user_id in &ids {
        world.agree(user_id, "after six hours").await;
    }
    assert!(world.blog_knows(&stranger).await.is_some());
    let unknown = async |target| world.metric(&format!("plaza_provisioning_unknown{{target=\"{target}\"}}")).await;
    assert_eq!((unknown("blog").await, unknown("social").await), (1.0, 0.0));

    let backup = world.back_up(Part::Blog).await;
    reconcile(&world, ReconcileProvisioningRequest { delete_unknown: true, ..of(Target::Blog) }).await;
    world.settled().await;
    assert_eq!(world.blog_knows(&stranger).await, None, "an operator said so");
    assert_eq!(audit::trail(&world, &stranger).await, [(Kind::UserDeleted, Reason::Blog)]);
    world.restore(Part::Blog, Some(&backup)).await;
    world.leap(Duration::from_secs(6 * 3600)).await;
    world.pass(Duration::from_secs(60)).await;
    world.settled().await;
    assert_eq!(world.blog_knows(&stranger).await, None, "a backup brings nobody back");
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_cannot_be_made_says_so() {
    let world = World::start().await;
    let refused = one_page(&world, ReconcileProvisioningRequest::default()).await.expect_err("no target");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let elsewhere = ReconcileProvisioningRequest { page_token: "x".to_owned(), ..of(Target::Blog) };
    assert_eq!(one_page(&world, elsewhere).await.expect_err("no token").code(), Code::InvalidArgument);
    world.plaza().withdraw(Part::Blog);
    assert_eq!(one_page(&world, of(Target::Blog)).await.expect_err("it is down").code(), Code::Unavailable);
}

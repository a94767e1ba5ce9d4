//! How events are listed, and how long.

use std::time::Duration;

use proto::sso::v1::{
    AuditEvent, AuditEventKind as Kind, ListAuditEventsRequest, RotateKeyRequest,
    token_service_client::TokenServiceClient,
};

use super::{list, then};
use crate::world::{Person, World, id, reason};

#[tokio::test(start_paused = true)]
async fn events_are_listed_newest_first_page_by_page() {
    let world = World::start().await;
    then(&world).await;
    let request = RotateKeyRequest { request_id: id(), end_others: false };
    let channel = world.plaza().client(onebox::Part::Sso).expect("it runs");
    TokenServiceClient::new(channel).rotate_key(world.as_operator(request)).await.expect("rotated");
    for at in 0..5 {
        world.pass(Duration::from_secs(10)).await;
        world.sign_up(&Person::with_email(&format!("person{at}"))).await.expect("signs up");
    }
    let signed_up = ListAuditEventsRequest { kinds: vec![Kind::SignedUp.into()], page_size: 2, ..Default::default() };
    let (mut seen, mut page_token): (Vec<AuditEvent>, _) = (Vec::new(), String::new());
    loop {
        let page = list(&world, ListAuditEventsRequest { page_token, ..signed_up.clone() }).await.expect("a page");
        // What comes meanwhile is newer than every page to come.
        world.sign_up(&Person::with_email(&format!("late{}", seen.len()))).await.expect("signs up");
        seen.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
    let between =
        ListAuditEventsRequest { start_time: seen[3].create_time, end_time: seen[1].create_time, ..signed_up };
    let ids: Vec<_> =
        list(&world, between.clone()).await.expect("a page").events.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, [seen[2].id.clone(), seen[3].id.clone()]);
    let keys = ListAuditEventsRequest { kinds: vec![Kind::KeyRotated.into()], ..Default::default() };
    let page = list(&world, ListAuditEventsRequest { page_size: 1, ..keys.clone() }).await.expect("a page");
    assert_eq!(page.events[0].operator, "root");
    let token = page.next_page_token;
    for nonsense in [
        ListAuditEventsRequest { page_token: token, ..between },
        ListAuditEventsRequest { kinds: vec![999], ..keys.clone() },
        ListAuditEventsRequest { kinds: vec![1; 33], ..keys.clone() },
        ListAuditEventsRequest { user_id: "anna".to_owned(), ..keys.clone() },
        ListAuditEventsRequest { page_size: -1, ..keys },
    ] {
        assert_eq!(reason(&list(&world, nonsense).await.expect_err("no")), "INVALID_FIELDS");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_forgotten_and_a_restart_forgets_nothing() {
    let mut world = World::start().await;
    world.sign_in(&Person::with_email("nobody")).await.expect_err("nobody");
    world.restart().await;
    let refused = ListAuditEventsRequest { kinds: vec![Kind::SignInRefused.into()], ..Default::default() };
    assert_eq!(list(&world, refused.clone()).await.expect("a page").events.len(), 1);
    world.leap(Duration::from_secs(91 * 24 * 3600)).await;
    world.pass(Duration::from_secs(601)).await;
    assert!(list(&world, refused).await.expect("a page").events.is_empty());
}

//! Signing keys: rotated by themselves before anybody notices, and at once when somebody must.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use onebox::Part;
use proto::{
    social::v1::UpdateProfileRequest,
    sso::v1::{
        GetAccountRequest, ListPublicKeysRequest, PublicKey, RotateKeyRequest, Tokens,
        token_service_client::TokenServiceClient,
    },
};

use crate::world::{Person, World, bearer, id, reason};

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lets time pass at once, and then what fell due in it happen.
async fn leap(world: &World, time: Duration) {
    tokio::time::advance(time).await;
    world.pass(Duration::from_secs(31)).await;
}

async fn keys(world: &World) -> Vec<PublicKey> {
    let channel = world.plaza().peer(Part::Sso, Part::Social).expect("it runs");
    let answer = TokenServiceClient::new(channel).list_public_keys(ListPublicKeysRequest {}).await;
    answer.expect("listed").into_inner().public_keys
}

/// The key id in the footer of a token.
fn kid(tokens: &Tokens) -> String {
    let footer = tokens.access_token.split('.').nth(3).expect("a footer");
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(footer).expect("base64")).expect("text");
    text.trim_start_matches("{\"kid\":\"").trim_end_matches("\"}").to_owned()
}

/// Whether SSO and Social honour an access token.
async fn honoured(world: &World, tokens: &Tokens) -> (bool, bool) {
    let sso = world.account().get_account(bearer(GetAccountRequest {}, &tokens.access_token)).await;
    let social = world.profiles().update_profile(bearer(UpdateProfileRequest::default(), &tokens.access_token)).await;
    let at_social = social.map_or_else(|status| reason(&status) != "TOKEN_INVALID", |_| true);
    (sso.is_ok(), at_social)
}

#[tokio::test(start_paused = true)]
async fn a_key_is_published_before_it_signs_and_kept_until_its_last_token_is_dead() {
    let mut world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let first = kid(&tokens);
    assert_eq!(keys(&world).await.iter().map(|key| &key.key_id).collect::<Vec<_>>(), [&first]);

    leap(&world, WEEK - HOUR).await;
    let published = keys(&world).await;
    assert_eq!((published.len(), &published[1].key_id), (2, &first), "newest first");
    let second = published[0].key_id.clone();
    assert!(published[0].expire_time.is_none() && published[1].expire_time.is_some());
    let tokens = world.refresh(&tokens.refresh_token).await.expect("refreshed");
    assert_eq!(kid(&tokens), first, "published, and signs nothing yet");

    world.pass(HOUR - Duration::from_secs(62)).await;
    let last = world.refresh(&tokens.refresh_token).await.expect("refreshed");
    assert_eq!(kid(&last), first);
    world.restart().await;
    world.pass(Duration::from_secs(62)).await;
    let tokens = world.refresh(&last.refresh_token).await.expect("refreshed");
    assert_eq!(kid(&tokens), second);
    assert_eq!(honoured(&world, &last).await, (true, true), "the last token of the old key");
    assert_eq!(honoured(&world, &tokens).await, (true, true));

    leap(&world, WEEK - HOUR).await;
    let left = keys(&world).await;
    assert_eq!((left.len(), &left[1].key_id), (2, &second), "the first is gone");
}

#[tokio::test(start_paused = true)]
async fn a_leaked_key_ends_at_once() {
    let world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    assert_eq!(honoured(&world, &tokens).await, (true, true));
    let request = RotateKeyRequest { request_id: id(), end_others: true };
    let channel = || TokenServiceClient::new(world.plaza().client(Part::Sso).expect("it runs"));
    let mut seen = Vec::new();
    for _ in 0..2 {
        let answer = channel().rotate_key(world.as_operator(request.clone())).await.expect("rotated").into_inner();
        seen.push(answer.public_keys);
    }
    assert_eq!((seen[0].len(), &seen[0]), (1, &seen[1]), "a repeat rotates nothing");
    let again = RotateKeyRequest { end_others: false, ..request };
    let status = channel().rotate_key(world.as_operator(again)).await.expect_err("another request");
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");

    assert!(!honoured(&world, &tokens).await.0, "SSO refuses the old key at once");
    let fresh = world.refresh(&tokens.refresh_token).await.expect("refreshed");
    assert_ne!(kid(&fresh), kid(&tokens));
    world.pass(Duration::from_secs(4)).await;
    assert_eq!(honoured(&world, &fresh).await, (true, true));
    assert_eq!(honoured(&world, &tokens).await, (false, false), "Social too, since it asked for the new one");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_goes_away_before_the_keys_are_read_is_waited_for() {
    let left = Arc::new(AtomicU32::new(5));
    let refusals = Arc::clone(&left);
    let fate = move |name| {
        let refused = matches!(name, "rotate_key" | "signing_keys")
            && refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if refused { db::Fate::Refuse } else { db::Fate::Run }
    };
    let faults = onebox::Faults { databases: [(Part::Sso, db::Faults::new(fate))].into(), ..onebox::Faults::default() };
    let world = World::with_faults(faults).await;
    assert_eq!(left.load(SeqCst), 0);
    world.join(&Person::with_email("anna")).await;
    world.stop().await;
}

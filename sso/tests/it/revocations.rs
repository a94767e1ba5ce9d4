//! What one replica ends, whoever follows another learns.

use std::time::Duration;

use mesh::token::{TokenError, Verifier};
use proto::sso::v1::{SignOutRequest, auth_service_client::AuthServiceClient};
use tokio::time::{sleep, timeout};

use crate::world::World;

async fn refused(verifier: &Verifier, token: &str) {
    while verifier.verify_fresh(token).await != Err(TokenError::Revoked) {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_at_one_replica_is_over_for_followers_of_the_other() {
    let Some(world) = World::start().await else { return };
    let followers = [world.follower(0), world.follower(1)];
    for name in ["anna", "ben"] {
        let tokens = world.signed_in(name).await;
        for follower in &followers {
            follower.verify_fresh(&tokens.access_token).await.unwrap();
        }
        let request = SignOutRequest { refresh_token: tokens.refresh_token };
        AuthServiceClient::new(world.client(0)).sign_out(request).await.unwrap();
        for follower in &followers {
            timeout(Duration::from_secs(1), refused(follower, &tokens.access_token)).await.expect("within a second");
        }
    }
    world.stop().await;
}

/// A commit may come after others whose time is later than the time in it, when its replica was slow or has another clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_late_is_told_all_the_same() {
    let Some(world) = World::start().await else { return };
    let follower = world.follower(0);
    let (told, late) = (world.signed_in("anna").await, world.signed_in("ben").await);
    let session = follower.verify_fresh(&late.access_token).await.unwrap().session.unwrap();
    let request = SignOutRequest { refresh_token: told.refresh_token };
    AuthServiceClient::new(world.client(0)).sign_out(request).await.unwrap();
    timeout(Duration::from_secs(1), refused(&follower, &told.access_token)).await.expect("the stream is there");
    let times = "now() - interval '20 s', now() + interval '15 min'";
    world
        .execute(format!("INSERT INTO revocations (session_id, revoked_at, kept_until) VALUES ('{session}', {times})"));
    timeout(Duration::from_secs(1), refused(&follower, &late.access_token)).await.expect("within a second");
    world.stop().await;
}

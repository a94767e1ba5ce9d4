//! Sessions and their refresh tokens: used once, repeated safely, and worth nothing to a thief for long.

use std::{collections::HashSet, time::Duration};

use proto::sso::v1::{
    ListSessionsRequest, RefreshTokenRequest, RevokeOtherSessionsRequest, RevokeSessionRequest, Session,
    SignOutRequest, Tokens, sign_in_response::Outcome,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::world::{Person, World, bearer, reason};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Lets days pass at once: what falls due in them happens once, not each time.
async fn leap(time: Duration) {
    tokio::time::advance(time).await;
}

impl World {
    /// Signs in, and is let in.
    pub(crate) async fn let_in(&self, person: &Person) -> Tokens {
        match self.sign_in(person).await.expect("signs in").outcome {
            Some(Outcome::Tokens(tokens)) => tokens,
            other => panic!("no tokens: {other:?}"),
        }
    }

    /// Asks for the successor of a refresh token.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Tokens, Status> {
        let request = RefreshTokenRequest { refresh_token: token.to_owned() };
        let tokens = self.auth().refresh_token(request).await?.into_inner().tokens.expect("tokens");
        self.trace().secret(&tokens.refresh_token);
        Ok(tokens)
    }

    /// The sessions of whoever holds these tokens.
    pub(crate) async fn sessions(&self, tokens: &Tokens) -> Result<Vec<Session>, Status> {
        let request = bearer(ListSessionsRequest {}, &tokens.access_token);
        Ok(self.account().list_sessions(request).await?.into_inner().sessions)
    }
}

async fn ended(world: &World, token: &str) {
    let status = world.refresh(token).await.expect_err("the session has ended");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "SESSION_ENDED"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_goes_on_with_the_session() {
    let world = World::start().await;
    let (user, first) = world.join(&Person::with_email("anna")).await;
    world.pass(Duration::from_secs(20 * 60)).await;
    let second = world.refresh(&first.refresh_token).await.expect("refreshed");
    assert_ne!(first.refresh_token, second.refresh_token);
    let request = bearer(proto::sso::v1::GetAccountRequest {}, &second.access_token);
    assert_eq!(
        world.account().get_account(request).await.expect("good").into_inner().user.expect("a user").id,
        user.id
    );
    let all = world.sessions(&second).await.expect("listed");
    assert_eq!(all.len(), 1);
    assert!(all[0].current && all[0].device_label == "a phone" && all[0].network.is_empty());
    assert_eq!(second.refresh_expire_time, all[0].expire_time);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_refreshes_of_one_token_have_one_successor() {
    let world = World::threaded().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let mut racing = JoinSet::new();
    for _ in 0..50 {
        let mut auth = world.auth();
        let request = RefreshTokenRequest { refresh_token: tokens.refresh_token.clone() };
        racing.spawn(async move { auth.refresh_token(request).await.expect("refreshed").into_inner() });
    }
    let all = racing.join_all().await;
    let successors: HashSet<_> = all.into_iter().map(|answer| answer.tokens.expect("tokens").refresh_token).collect();
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().expect("one");
    world.refresh(&successor).await.expect("the successor works");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_repeated_even_after_a_restart() {
    let mut world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let lost = world.refresh(&tokens.refresh_token).await.expect("refreshed");
    world.pass(Duration::from_secs(15)).await;
    world.restart().await;
    let repeated = world.refresh(&tokens.refresh_token).await.expect("repeated");
    assert_eq!(lost.refresh_token, repeated.refresh_token, "the same successor");
    world.restart().await;
    world.refresh(&repeated.refresh_token).await.expect("goes on");
}

#[tokio::test(start_paused = true)]
async fn an_old_token_ends_the_session_for_whoever_holds_it() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, first) = world.join(&anna).await;
    let elsewhere = world.let_in(&anna).await;
    let second = world.refresh(&first.refresh_token).await.expect("refreshed");
    world.pass(Duration::from_secs(31)).await;
    ended(&world, &first.refresh_token).await;
    ended(&world, &second.refresh_token).await;
    assert_eq!(reason(&world.sessions(&second).await.expect_err("over")), "SESSION_ENDED");
    world.refresh(&elsewhere.refresh_token).await.expect("another session is none of its business");
}

#[tokio::test(start_paused = true)]
async fn a_grandparent_ends_the_session_even_within_the_grace() {
    let world = World::start().await;
    let (_, first) = world.join(&Person::with_email("anna")).await;
    let second = world.refresh(&first.refresh_token).await.expect("refreshed");
    let third = world.refresh(&second.refresh_token).await.expect("refreshed");
    ended(&world, &first.refresh_token).await;
    ended(&world, &third.refresh_token).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_refresh_token_is_refused_and_ends_nothing() {
    let world = World::start().await;
    let (_, tokens) = world.join(&Person::with_email("anna")).await;
    let mut altered = tokens.refresh_token.clone().into_bytes();
    altered[40] ^= 1;
    for text in [String::from_utf8_lossy(&altered).as_ref(), &tokens.access_token[..200], "nonsense"] {
        ended(&world, text).await;
    }
    let request = bearer(ListSessionsRequest {}, &tokens.refresh_token);
    let status = world.account().list_sessions(request).await.expect_err("a refresh token opens nothing (ASVS 9.2.2)");
    assert_eq!(reason(&status), "TOKEN_INVALID");
    world.refresh(&tokens.refresh_token).await.expect("still good");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let world = World::start().await;
    let (_, mut idle) = world.join(&Person::with_email("anna")).await;
    leap(14 * DAY - Duration::from_secs(60)).await;
    idle = world.refresh(&idle.refresh_token).await.expect("not idle yet");
    leap(14 * DAY + Duration::from_secs(1)).await;
    ended(&world, &idle.refresh_token).await;

    let (_, mut old) = world.join(&Person::with_email("ben")).await;
    for _ in 0..2 {
        leap(13 * DAY).await;
        old = world.refresh(&old.refresh_token).await.expect("not old yet");
    }
    leap(4 * DAY - Duration::from_secs(300)).await;
    old = world.refresh(&old.refresh_token).await.expect("not old yet");
    assert_eq!(old.access_expire_time, old.refresh_expire_time, "no token outlives its session");
    world.pass(Duration::from_secs(301)).await;
    ended(&world, &old.refresh_token).await;
}

#[tokio::test(start_paused = true)]
async fn signing_out_ends_one_session() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, first) = world.join(&anna).await;
    let second = world.let_in(&anna).await;
    for _ in 0..2 {
        let request = SignOutRequest { refresh_token: first.refresh_token.clone() };
        world.auth().sign_out(request).await.expect("repeatable");
    }
    ended(&world, &first.refresh_token).await;
    assert_eq!(world.sessions(&second).await.expect("good").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_ends_sessions_of_their_own_alone() {
    let world = World::start().await;
    let (anna, ben) = (Person::with_email("anna"), Person::with_email("ben"));
    let (_, here) = world.join(&anna).await;
    let (_, bens) = world.join(&ben).await;
    let (there, else_where) = (world.let_in(&anna).await, world.let_in(&anna).await);
    let theirs = world.sessions(&bens).await.expect("good")[0].id.clone();
    let ours = world.sessions(&there).await.expect("good").into_iter().find(|one| one.current).expect("current").id;
    for session_id in [theirs, ours] {
        let request = bearer(RevokeSessionRequest { session_id }, &here.access_token);
        world.account().revoke_session(request).await.expect("there is nothing to tell");
    }
    world.refresh(&bens.refresh_token).await.expect("ben's goes on");
    ended(&world, &there.refresh_token).await;
    let request = bearer(RevokeOtherSessionsRequest {}, &here.access_token);
    assert_eq!(world.account().revoke_other_sessions(request).await.expect("done").into_inner().revoked, 1);
    ended(&world, &else_where.refresh_token).await;
    world.refresh(&here.refresh_token).await.expect("the one that asked goes on");
}

#[tokio::test(start_paused = true)]
async fn a_fifty_first_session_ends_the_one_idle_longest() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, first) = world.join(&anna).await;
    world.pass(Duration::from_secs(1)).await;
    let mut idle = None;
    for _ in 0..49 {
        idle.get_or_insert(world.let_in(&anna).await);
        world.pass(Duration::from_secs(1)).await;
    }
    let first = world.refresh(&first.refresh_token).await.expect("fifty fit");
    let last = world.let_in(&anna).await;
    assert_eq!(world.sessions(&last).await.expect("good").len(), 50);
    ended(&world, &idle.expect("one").refresh_token).await;
    world.refresh(&first.refresh_token).await.expect("it was used last but one");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_sign_in_finds_its_session_or_its_end() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let request = anna.sign_in();
    let tokens = |answer: proto::sso::v1::SignInResponse| match answer.outcome {
        Some(Outcome::Tokens(tokens)) => tokens,
        other => panic!("no tokens: {other:?}"),
    };
    let first = tokens(world.auth().sign_in(request.clone()).await.expect("signs in").into_inner());
    let second = world.refresh(&first.refresh_token).await.expect("refreshed");
    let again = tokens(world.auth().sign_in(request.clone()).await.expect("repeated").into_inner());
    assert_eq!(again.refresh_token, second.refresh_token, "the newest, and no other");
    world.auth().sign_out(SignOutRequest { refresh_token: again.refresh_token }).await.expect("out");
    let status = world.auth().sign_in(request).await.expect_err("a repeat opens no new session");
    assert_eq!(reason(&status), "SESSION_ENDED");
}

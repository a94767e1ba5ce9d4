//! A session that has ended is over everywhere: its access tokens are refused within a second, and within their 15 minutes if nobody can tell.

use std::time::Duration;

use mesh::{Admin, Shutdown, Threads};
use onebox::{Edge, Onebox, Part, Ports};
use proto::{
    blog::v1::UpdateAuthorRequest,
    social::v1::UpdateProfileRequest,
    sso::v1::{
        ChangePasswordRequest, CompletePasswordResetRequest, DeleteAccountRequest, IntrospectTokenRequest,
        IntrospectTokenResponse, RefreshTokenRequest, RevokeOtherSessionsRequest, RevokeSessionRequest, SignOutRequest,
        StartPasswordResetRequest, Tokens, WatchRevocationsRequest, start_password_reset_request::Identifier,
        token_service_client::TokenServiceClient,
    },
};
use tonic::{Code, Status};

use crate::{
    storage::Storage,
    trace::Trace,
    world::{Person, World, bearer, id, reason},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Whether Social and Blog honour an access token.
async fn honoured(world: &World, tokens: &Tokens) -> (bool, bool) {
    let social = world.profiles().update_profile(bearer(UpdateProfileRequest::default(), &tokens.access_token)).await;
    let blog = world.authors().update_author(bearer(UpdateAuthorRequest::default(), &tokens.access_token)).await;
    (holds(social.err()), holds(blog.err()))
}

fn holds(refused: Option<Status>) -> bool {
    !refused.is_some_and(|status| status.code() == Code::Unauthenticated && reason(&status) == "TOKEN_INVALID")
}

async fn refused_within_a_second(world: &World, what: &str, tokens: &Tokens) {
    world.pass(SECOND).await;
    assert_eq!(honoured(world, tokens).await, (false, false), "{what}");
}

fn tokens_of(world: &World) -> TokenServiceClient<mesh::Channel> {
    TokenServiceClient::new(world.plaza().peer(Part::Sso, Part::Social).expect("it runs"))
}

async fn introspect(world: &World, token: &str) -> IntrospectTokenResponse {
    let request = IntrospectTokenRequest { access_token: token.to_owned() };
    tokens_of(world).introspect_token(request).await.expect("an answer").into_inner()
}

async fn sign_out(world: &World, tokens: &Tokens) {
    let request = SignOutRequest { refresh_token: tokens.refresh_token.clone() };
    world.auth().sign_out(request).await.expect("signed out");
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_session_ends_its_tokens_everywhere() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (user, here) = world.join(&anna).await;
    let bystander = world.join(&Person::with_email("ben")).await.1;
    let mut there = world.let_in(&anna).await;
    assert_eq!((honoured(&world, &here).await, honoured(&world, &there).await), ((true, true), (true, true)));

    sign_out(&world, &there).await;
    refused_within_a_second(&world, "signed out", &there).await;

    there = world.let_in(&anna).await;
    let session_id = introspect(&world, &there.access_token).await.session_id;
    world
        .account()
        .revoke_session(bearer(RevokeSessionRequest { session_id }, &here.access_token))
        .await
        .expect("done");
    refused_within_a_second(&world, "revoked", &there).await;

    there = world.let_in(&anna).await;
    world
        .account()
        .revoke_other_sessions(bearer(RevokeOtherSessionsRequest {}, &here.access_token))
        .await
        .expect("done");
    refused_within_a_second(&world, "revoked as another", &there).await;

    there = world.let_in(&anna).await;
    let used = RefreshTokenRequest { refresh_token: there.refresh_token.clone() };
    world.auth().refresh_token(used.clone()).await.expect("refreshed");
    world.pass(31 * SECOND).await;
    world.auth().refresh_token(used).await.expect_err("used twice");
    refused_within_a_second(&world, "stolen", &there).await;

    there = world.let_in(&anna).await;
    let new_password = "battery staple correct".to_owned();
    let change = ChangePasswordRequest {
        request_id: id(),
        old_password: anna.password.clone(),
        new_password: new_password.clone(),
    };
    world.account().change_password(bearer(change, &here.access_token)).await.expect("changed");
    refused_within_a_second(&world, "the password was changed", &there).await;
    assert_eq!(honoured(&world, &here).await, (true, true), "the session that asked for all that goes on");

    let request_id = id();
    let start = StartPasswordResetRequest { request_id, identifier: Some(Identifier::Email(anna.address.clone())) };
    let reset = world.auth().start_password_reset(start).await.expect("started").into_inner();
    let complete = CompletePasswordResetRequest {
        request_id: id(),
        verification_id: reset.verification.expect("one").verification_id,
        code: world.code(&anna.address).await,
        new_password: anna.password.clone(),
    };
    world.auth().complete_password_reset(complete).await.expect("completed");
    refused_within_a_second(&world, "the password was reset", &here).await;

    there = world.let_in(&anna).await;
    world.lock(&user.id).await.expect("locked");
    refused_within_a_second(&world, "locked", &there).await;

    assert_eq!(honoured(&world, &bystander).await, (true, true), "nobody else");
    let delete = DeleteAccountRequest { request_id: id(), password: anna.password };
    world.account().delete_account(bearer(delete, &bystander.access_token)).await.expect("deleted");
    refused_within_a_second(&world, "deleted", &bystander).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_pushed_out_takes_its_tokens_along() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, oldest) = world.join(&anna).await;
    world.pass(SECOND).await;
    for _ in 0..50 {
        world.let_in(&anna).await;
    }
    refused_within_a_second(&world, "the fifty-first", &oldest).await;
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_could_not_be_told_is_told_later() {
    let mut world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, first) = world.join(&anna).await;
    let (second, third) = (world.let_in(&anna).await, world.let_in(&anna).await);
    // Streams end by themselves, and none can be begun.
    world.plaza().withdraw(Part::Sso);
    world.pass(MINUTE).await;
    sign_out(&world, &first).await;
    world.pass(MINUTE).await;
    assert_eq!(honoured(&world, &first).await, (true, true), "nobody has told them");
    world.plaza().publish(Part::Sso);
    world.pass(7 * SECOND).await;
    assert_eq!(honoured(&world, &first).await, (false, false), "the stream is back");

    sign_out(&world, &second).await;
    for part in [Part::Social, Part::Blog] {
        world.plaza_mut().start_part(part).await.expect("it starts again");
    }
    refused_within_a_second(&world, "what held before they started", &second).await;
    assert_eq!(honoured(&world, &first).await, (false, false));

    world.restart().await;
    assert_eq!(honoured(&world, &third).await, (true, true), "its key is known by now");
    world.plaza().withdraw(Part::Sso);
    sign_out(&world, &third).await;
    world.pass(15 * MINUTE).await;
    assert_eq!(honoured(&world, &third).await, (false, false), "its time is up");
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_what_holds_and_ends_in_order() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    world.join(&anna).await;
    let mut ended = Vec::new();
    for _ in 0..3 {
        let tokens = world.let_in(&anna).await;
        ended.push(introspect(&world, &tokens.access_token).await.session_id);
        sign_out(&world, &tokens).await;
        world.pass(MINUTE).await;
    }
    let watch = async |cursor: &str| {
        let request = WatchRevocationsRequest { cursor: cursor.to_owned() };
        let mut stream = tokens_of(&world).watch_revocations(request).await.expect("a stream").into_inner();
        let first = stream.message().await.expect("whole").expect("it speaks at once");
        let began = world.now();
        assert!(stream.message().await.expect("in order").is_none(), "nothing else has ended");
        assert!(world.now().duration_since(began).expect("later") < 46 * SECOND);
        let ids: Vec<_> = first.revocations.into_iter().map(|one| one.session_id).collect();
        (ids, first.cursor)
    };
    let (all, cursor) = watch("").await;
    assert_eq!(all, ended, "all that hold");
    assert_eq!(watch(&cursor).await.0, [""; 0], "and none that ended long before the cursor");
    world.pass(16 * MINUTE).await;
    assert_eq!(watch("").await.0, [""; 0], "their tokens are dead");
    for cursor in ["x", "-1", "18446744073709551615"] {
        let request = WatchRevocationsRequest { cursor: cursor.to_owned() };
        let status = tokens_of(&world).watch_revocations(request).await.expect_err("no cursor");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_one_message_holds() {
    let world = World::start().await;
    let anna = Person::with_email("anna");
    let (_, here) = world.join(&anna).await;
    for _ in 0..21 {
        for _ in 0..49 {
            world.let_in(&anna).await;
        }
        let request = bearer(RevokeOtherSessionsRequest {}, &here.access_token);
        assert_eq!(world.account().revoke_other_sessions(request).await.expect("done").into_inner().revoked, 49);
    }
    let mut stream =
        tokens_of(&world).watch_revocations(WatchRevocationsRequest::default()).await.expect("a stream").into_inner();
    let mut sizes = Vec::new();
    while let Some(news) = stream.message().await.expect("whole") {
        sizes.push(news.revocations.len());
    }
    assert_eq!(sizes, [1000, 21 * 49 - 1000], "each once");
}

#[tokio::test(start_paused = true)]
async fn introspection_tells_what_a_token_is_worth_now() {
    let world = World::start().await;
    let (user, tokens) = world.join(&Person::with_email("anna")).await;
    let found = introspect(&world, &tokens.access_token).await;
    assert!(found.active && found.user_id == user.id && found.expire_time == tokens.access_expire_time, "{found:?}");
    let operator = world.plaza().operator_token("root", MINUTE).expect("a token");
    for other in ["nonsense", tokens.refresh_token.as_str(), operator.as_str()] {
        assert_eq!(introspect(&world, other).await, IntrospectTokenResponse::default(), "{other}");
    }
    sign_out(&world, &tokens).await;
    assert_eq!(introspect(&world, &tokens.access_token).await, IntrospectTokenResponse::default(), "at once");
    for text in [String::new(), "v".repeat(1025)] {
        let request = IntrospectTokenRequest { access_token: text };
        let status = tokens_of(&world).introspect_token(request).await.expect_err("refused");
        assert_eq!(reason(&status), "INVALID_FIELDS");
    }
}

/// On real time, for sockets know no other.
#[tokio::test]
async fn a_stop_of_all_is_nothing_to_warn_of() {
    let (storage, trace) = (Storage::new(), Trace::begin());
    let (mut config, edge) = (storage.config(), Edge::system());
    let port = "127.0.0.1:0".parse().expect("an address");
    [config.sso.listen, config.sms.listen, config.social.listen, config.blog.listen] = [port; 4];
    config.sms.carrier = sms::CarrierConfig::Development { console: false };
    let (admin, shutdown) = (Admin::new(Shutdown::manual()), Shutdown::manual());
    let ports = Ports::take(&config, &edge.clock, &Threads::default()).await.expect("ports");
    let plaza = Onebox::start(config, edge).await.expect("it starts");
    plaza.describe(&admin);
    let serving = tokio::spawn(plaza.serve(ports, shutdown.clone()));
    let follows = |line: &&str| line.contains("attempt_started") && line.contains("WatchRevocations");
    // Social and Blog.
    while admin.metrics().await.lines().filter(follows).count() < 2 {
        tokio::task::yield_now().await;
    }
    shutdown.begin();
    serving.await.expect("no panic").expect("served");
    assert!(!trace.text().contains("revocations do not come"), "{}", trace.text());
}

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};

use super::*;
use crate::{
    access::{self, Caller},
    channel::Channel,
    failure,
    testing::{AUDIENCE, DEPLOYMENT, Echo, Keys, call, contracts, listen, say},
    token::{Claims, Expected, Kind, Verifier},
};

/// A service that answers who called it.
fn who() -> Echo {
    Echo::unary(|request| {
        let caller = access::caller(&request).clone();
        async move {
            Ok(match caller {
                Caller::Anyone => "anyone".to_owned(),
                Caller::Person { .. } => "person".to_owned(),
                Caller::Peer(name) => format!("peer {name}"),
                Caller::Operator(name) => format!("operator {name}"),
            })
        }
    })
}

fn with(header: &'static str, value: &str) -> Request<String> {
    let mut request = Request::new(String::new());
    request.metadata_mut().insert(header, value.parse().expect("ascii"));
    request
}

#[tokio::test(start_paused = true)]
async fn the_access_table() {
    let keys = Keys::new();
    let router = who().router(keys.stack());
    let anyone = Channel::anonymous(router.clone());
    let bearer = |kind| with("authorization", &format!("Bearer {}", keys.token(kind)));
    let plain = || Request::new(String::new());
    let bad = || with("authorization", "Bearer v4.public.nothing");
    let peer = |name: &str| {
        let claims = Claims { subject: name.to_owned(), ..keys.claims(Kind::Peer) };
        with("x-plaza-peer", &keys.sign(&claims))
    };
    let bad_peer = || with("x-plaza-peer", "sso");
    let denied = Err("ACCESS_DENIED");
    let invalid = Err("TOKEN_INVALID");
    let table = [
        ("Public", plain(), Ok("anyone")),
        ("Public", bad(), Ok("anyone")),
        ("Public", bad_peer(), Ok("anyone")),
        ("Public", bearer(Kind::Access), Ok("person")),
        ("Public", bearer(Kind::Operator), Ok("operator olga")),
        ("Public", peer("blog"), Ok("peer blog")),
        ("Bearer", plain(), invalid),
        ("Bearer", bad(), invalid),
        ("Bearer", with("authorization", "Basic eDp5"), invalid),
        ("Bearer", with("authorization", &keys.token(Kind::Access)), invalid),
        ("Bearer", bearer(Kind::Operator), invalid),
        ("Bearer", bearer(Kind::Peer), invalid),
        ("Bearer", peer("sso"), invalid),
        ("Bearer", bearer(Kind::Access), Ok("person")),
        ("Bearer", with("authorization", &format!("bearer {}", keys.token(Kind::Access))), Ok("person")),
        ("Peer", plain(), denied),
        ("Peer", bearer(Kind::Access), denied),
        ("Peer", bearer(Kind::Operator), denied),
        ("Peer", bearer(Kind::Peer), denied),
        ("Peer", bad_peer(), invalid),
        ("Peer", with("x-plaza-peer", &keys.token(Kind::Operator)), invalid),
        ("Peer", peer("blog"), denied),
        ("Peer", peer("sso"), Ok("peer sso")),
        ("Operator", plain(), denied),
        ("Operator", bad(), invalid),
        ("Operator", bearer(Kind::Access), denied),
        ("Operator", peer("sso"), denied),
        ("Operator", bearer(Kind::Operator), Ok("operator olga")),
    ];
    for (row, (method, request, wanted)) in table.into_iter().enumerate() {
        let answer = call(&anyone, method, request).await;
        let got = answer.map_err(|status| (status.code(), failure::reason(&status).unwrap_or_default()));
        let code = if wanted == denied { Code::PermissionDenied } else { Code::Unauthenticated };
        let wanted = wanted.map(str::to_owned).map_err(|reason| (code, reason.to_owned()));
        assert_eq!(got, wanted, "row {row}: {method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_refused_while_nobody_can_be_asked_for_its_key() {
    let keys = Keys::new();
    let keyring = keys.mesh.keyring().with_refresh(Kind::Access, || async { None });
    let expected = Expected { deployment: DEPLOYMENT, audience: AUDIENCE, issuer: "sso" };
    let verifier = Arc::new(Verifier::new(keyring, expected, keys.clock.clone()));
    let anyone = Channel::anonymous(who().router(Stack { verifier, ..keys.stack() }));
    let bearer = || with("authorization", &format!("Bearer {}", keys.token(Kind::Access)));
    for method in ["Bearer", "Operator"] {
        let status = call(&anyone, method, bearer()).await.expect_err("nobody can tell who calls");
        assert_eq!((status.code(), failure::reason(&status).as_deref()), (Code::Unavailable, Some("UNREACHABLE")));
    }
    assert_eq!(call(&anyone, "Public", bearer()).await.expect("for everybody"), "anyone");
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_peer_is_known_by_construction() {
    let keys = Keys::new();
    let router = who().router(keys.stack());
    let sso = Channel::memory(router.clone(), "sso");
    assert_eq!(say(&sso, "Peer", "").await.expect("named"), "peer sso");
    let blog = Channel::memory(router, "blog");
    let posing = Claims { subject: "sso".to_owned(), ..keys.claims(Kind::Peer) };
    let status = call(&blog, "Peer", with("x-plaza-peer", &keys.sign(&posing))).await.expect_err("not named");
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_unknown_or_has_no_policy_is_unimplemented() {
    let channel = Channel::anonymous(who().router(Keys::new().stack()));
    for method in ["Nothing", "Missing"] {
        assert_eq!(say(&channel, method, "").await.expect_err("unknown").code(), Code::Unimplemented);
    }
}

#[test]
fn a_service_without_a_contract_or_added_twice_does_not_start() {
    let keys = Keys::new();
    let unknown = Server::new("echo", keys.stack()).add(who()).build();
    assert!(matches!(unknown.err(), Some(BuildError::Unknown("test.v1.EchoService"))));
    let twice = Server::new("echo", keys.stack()).with_contracts(contracts()).add(who()).add(who()).build();
    assert!(matches!(twice.err(), Some(BuildError::Twice("test.v1.EchoService"))));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_resource_exhausted() {
    let channel = Channel::anonymous(Echo::unary(|r| async { Ok(r.into_inner()) }).router(Keys::new().stack()));
    // Tag and length of the one field take four bytes.
    let longest = "x".repeat(64 * 1024 - 4);
    assert_eq!(say(&channel, "Once", &longest).await.expect("fits"), longest);
    let status = say(&channel, "Once", &format!("{longest}x")).await.expect_err("too long");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(failure::reason(&status).as_deref(), Some("MESSAGE_TOO_LARGE"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_that_calls_internal() {
    let channel = Channel::anonymous(
        Echo::unary(|request| async move {
            assert_ne!(request.get_ref(), "boom", "the secret");
            Ok("fine".to_owned())
        })
        .router(Keys::new().stack()),
    );
    let status = say(&channel, "Public", "boom").await.expect_err("panics");
    assert_eq!((status.code(), status.message()), (Code::Internal, ""));
    assert_eq!(say(&channel, "Public", "").await.expect("goes on"), "fine");
    let streaming =
        Echo::stream(|| tokio_stream::iter([1, 0]).throttle(Duration::from_millis(1)).map(|n| Ok((1 / n).to_string())));
    let (items, status) = listen(&Channel::anonymous(streaming.router(Keys::new().stack()))).await;
    assert_eq!((items, status.map(|status| status.code())), (vec!["1".to_owned()], Some(Code::Internal)));
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_dropped_at_the_deadline() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let router = Echo::unary(move |_| {
        let guard = Dropped(Arc::clone(&flag));
        async move {
            let _guard = guard;
            sleep(Duration::from_secs(3600)).await;
            Ok(String::new())
        }
    })
    .router(Keys::new().stack());
    // Straight at the server, with a time-out of the caller's.
    let head = |timeout: &str| {
        let request = http::Request::post("/test.v1.EchoService/Public").header("grpc-timeout", timeout);
        request.body(Body::new(http_body_util::Full::from(vec![0, 0, 0, 0, 0]))).expect("a request")
    };
    let began = Instant::now();
    let response = router.handle(head("500m")).await;
    assert_eq!(crate::wire::code(response.headers()), Some(Code::DeadlineExceeded));
    assert_eq!((began.elapsed(), dropped.load(Ordering::SeqCst)), (Duration::from_millis(500), true));
    dropped.store(false, Ordering::SeqCst);
    let response = router.handle(head("0n")).await;
    assert_eq!(crate::wire::code(response.headers()), Some(Code::DeadlineExceeded));
    assert!(!dropped.load(Ordering::SeqCst), "refused before the handler is made");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_deadline_and_knows_it() {
    let echo = Echo::stream(|| {
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(900)));
        ticks.map(|_| Ok(crate::deadline::current().expect("a deadline").left().as_millis().to_string()))
    });
    let (items, status) = listen(&Channel::anonymous(echo.router(Keys::new().stack()))).await;
    assert_eq!(items, ["2000", "1100", "200"]);
    assert_eq!(status.expect("an end").code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_status_fits_into_headers() {
    let long = "ä".repeat(5000);
    let echo = Echo::unary(move |_| {
        let status = Status::with_details(Code::Aborted, long.clone(), vec![1; 9000].into());
        async move { Err(status) }
    });
    let status = say(&Channel::anonymous(echo.router(Keys::new().stack())), "Public", "").await.expect_err("aborted");
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().len() <= 1024 && status.message().starts_with("ää"), "{}", status.message().len());
    assert!(status.details().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_are_taken_on_and_probes_always() {
    let limits = Limits { calls: 10, ..Limits::default() };
    let echo = Echo::unary(|request| async move {
        sleep(Duration::from_millis(500)).await;
        Ok(request.into_inner())
    });
    let router = echo.router(Stack { limits, ..Keys::new().stack() });
    let calls: Vec<_> = (0..30)
        .map(|_| {
            // A channel of their own each: the limit is the server's.
            let channel = Channel::anonymous(router.clone());
            tokio::spawn(async move { say(&channel, "Once", "").await })
        })
        .collect();
    sleep(Duration::from_millis(10)).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(Channel::anonymous(router.clone()));
    let check = tonic_health::pb::HealthCheckRequest { service: String::new() };
    health.check(check).await.expect("a probe is answered");
    let mut delays = Vec::new();
    for call in calls {
        if let Err(status) = call.await.expect("no panic") {
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(failure::reason(&status).as_deref(), Some("OVERLOADED"));
            let delay = failure::retry_delay(&status).expect("RetryInfo");
            let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("pushback").to_str().expect("ascii");
            assert_eq!(pushback, delay.as_millis().to_string());
            assert!((100..300).contains(&delay.as_millis()));
            delays.push(delay);
        }
    }
    assert_eq!(delays.len(), 20);
    delays.sort();
    delays.dedup();
    assert_eq!(delays.len(), 20, "not all at once again");
    say(&Channel::anonymous(router), "Once", "").await.expect("nothing is held for ever");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_anybody_s_calls_keeps_no_service_out() {
    let limits = Limits { calls: 10, ..Limits::default() };
    let echo = Echo::unary(|request| async move {
        match request.get_ref().as_str() {
            "stay" => std::future::pending().await,
            _ => Ok(request.into_inner()),
        }
    });
    let router = echo.router(Stack { limits, ..Keys::new().stack() });
    let (anyone, sso) = (Channel::anonymous(router.clone()), Channel::memory(router, "sso"));
    let fill = async |channel: &Channel, method: &'static str| {
        for _ in 0..10 {
            let channel = channel.clone();
            tokio::spawn(async move { say(&channel, method, "stay").await });
        }
        sleep(Duration::from_millis(1)).await;
    };
    fill(&anyone, "Once").await;
    assert_eq!(say(&sso, "Peer", "hello").await.expect("one of those that are kept"), "hello");
    for (channel, method) in [(&sso, "Once"), (&anyone, "Peer")] {
        let status = say(channel, method, "hello").await.expect_err("nobody else's");
        assert_eq!(status.code(), Code::ResourceExhausted, "{method}");
    }
    fill(&sso, "Peer").await;
    assert_eq!(say(&sso, "Peer", "hello").await.expect_err("there are so many").code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_repeatable_call_comes_back_when_it_is_told_to() {
    let limits = Limits { calls: 10, ..Limits::default() };
    // Over before the first of those that were refused may come again.
    let echo = Echo::unary(|request| async move {
        sleep(Duration::from_millis(50)).await;
        Ok(request.into_inner())
    });
    let channel = Channel::anonymous(echo.router(Stack { limits, ..Keys::new().stack() }));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { say(&channel, "Public", "x").await })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("answered at last");
    }
}

#[test]
fn connections_end_in_step_neither_here_nor_at_other_replicas() {
    let ages = |seed| {
        let router = who().router(Stack { random: Random::seeded(seed), ..Keys::new().stack() });
        (0..1000).map(|_| router.age()).collect::<Vec<_>>()
    };
    let (here, there, age) = (ages(1), ages(2), Limits::default().age);
    assert!(here.iter().all(|one| (age * 9 / 10..=age * 11 / 10).contains(one)));
    assert!(here.iter().collect::<std::collections::HashSet<_>>().len() > 180, "all of the range");
    assert!(here.iter().zip(&there).filter(|(here, there)| here == there).count() < 20);
}

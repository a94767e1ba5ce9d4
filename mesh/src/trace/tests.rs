//! Who is whose parent, who decides, and whom that is believed of: on paused time and into the hands of the test. `tests/it/tracing.rs` shows the
//! same through a collector.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tonic::{Code, Request, Status};

use super::{ids, inherit};
use crate::{
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::Random,
    otlp::{
        Resource, Value,
        spans::{Kind, Span, StatusCode},
    },
    server::{Router, Stack},
    telemetry::{Outsiders, Telemetry},
    testing::{Echo, Host, Hosts, Keys, call, contracts, listen, say, sockets},
    token::Kind as TokenKind,
};

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const GIVEN_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The spans that have ended.
pub(crate) struct Captured(pub(crate) mpsc::Receiver<(Arc<Resource>, Span)>);

impl Captured {
    fn spans(&mut self) -> Vec<Span> {
        std::iter::from_fn(|| self.0.try_recv().ok()).map(|(_, span)| span).collect()
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::Text(text) => text,
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
    })
}

fn of_kind(spans: &[Span], kind: Kind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind() == kind).collect()
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

/// The server `echo`, traced by `of`.
fn router(echo: Echo, of: &Telemetry) -> Router {
    echo.router(Stack { tracer: of.tracer("echo"), ..Keys::new().stack() })
}

/// The way to a router of another service, or of nobody.
fn channel(router: Router, caller: Option<&'static str>, of: &Telemetry) -> Channel {
    let options = ChannelOptions { tracer: of.tracer("sso"), random: Random::seeded(1), ..ChannelOptions::default() };
    Channel::in_memory(router, caller, options)
}

fn echoing() -> Echo {
    Echo::unary(|request| async move { Ok(request.into_inner()) })
}

/// Answers with the trace and the span that the handler is in.
fn telling() -> Echo {
    Echo::unary(|_| async { Ok(ids().map(|(trace, span)| format!("{trace}-{span}")).unwrap_or_default()) })
}

fn with_context(context: &str) -> Request<String> {
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("traceparent", context.parse().expect("a value"));
    request
}

#[tokio::test(start_paused = true)]
async fn a_call_is_over_its_attempts_and_each_attempt_over_the_callee() {
    let (telemetry, mut captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let tried = Arc::new(AtomicU32::new(0));
    let echo = Echo::unary(move |request| {
        let first = tried.fetch_add(1, SeqCst) == 0;
        async move { if first { Err(Status::unavailable("not yet")) } else { Ok(request.into_inner()) } }
    });
    say(&channel(router(echo, &telemetry), Some("sso"), &telemetry), "Public", "").await.expect("the second time");
    let spans = captured.spans();
    let [call] = of_kind(&spans, Kind::Internal)[..] else { panic!("{spans:?}") };
    let (attempts, served) = (of_kind(&spans, Kind::Client), of_kind(&spans, Kind::Server));
    assert_eq!((spans.len(), attempts.len(), served.len()), (5, 2, 2));
    assert!(spans.iter().all(|span| span.trace_id == call.trace_id && span.name == "test.v1.EchoService/Public"));
    assert!(call.parent_span_id.is_empty() && !failed(call));
    for (at, (attempt, served)) in attempts.iter().zip(&served).enumerate() {
        assert_eq!((&attempt.parent_span_id, &served.parent_span_id), (&call.span_id, &attempt.span_id));
        assert_eq!(text(attempt, "previous-rpc-attempts"), Some(at.to_string()));
        assert_eq!(text(attempt, "server.address").as_deref(), Some("echo"));
        let code = if at == 0 { "UNAVAILABLE" } else { "OK" };
        for span in [attempt, served] {
            assert_eq!(text(span, "rpc.system.name").as_deref(), Some("grpc"));
            assert_eq!(text(span, "rpc.method").as_deref(), Some("test.v1.EchoService/Public"));
            assert_eq!(text(span, "rpc.response.status_code").as_deref(), Some(code));
            assert_eq!(failed(span), at == 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_whose_fault_it_is() {
    let (telemetry, mut captured) = Telemetry::captured(1.0, Outsiders::Strip);
    for (code, servers) in [(Code::NotFound, false), (Code::ResourceExhausted, false), (Code::Internal, true)] {
        let echo = Echo::unary(move |_| async move { Err(Status::new(code, "no")) });
        say(&channel(router(echo, &telemetry), Some("sso"), &telemetry), "Once", "").await.expect_err("refused");
        for span in captured.spans() {
            assert_eq!(failed(&span), servers || span.kind() != Kind::Server, "{code:?} {span:?}");
            assert_eq!(text(&span, "error.type").is_some(), failed(&span));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_and_one_that_is_late_say_so() {
    let (telemetry, mut captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let hanging = router(Echo::unary(|_| std::future::pending()), &telemetry);
    let channel = channel(hanging, Some("sso"), &telemetry);
    let given_up = tokio::time::timeout(Duration::from_millis(10), say(&channel, "Once", "")).await;
    given_up.expect_err("nobody answers");
    let spans = captured.spans();
    assert_eq!(spans.len(), 3);
    assert!(
        spans.iter().all(|span| text(span, "rpc.response.status_code").as_deref() == Some("CANCELLED")),
        "{spans:?}"
    );
    say(&channel, "Once", "").await.expect_err("late");
    for span in of_kind(&captured.spans(), Kind::Client) {
        assert_eq!(text(span, "rpc.response.status_code").as_deref(), Some("DEADLINE_EXCEEDED"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_says_where_it_went() {
    let (telemetry, mut captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let silent = || Host::Up(Echo::unary(|_| std::future::pending()).router(Keys::new().stack()));
    let hosts = Hosts::of([(); 3].map(|()| silent()));
    let (keys, random) = (Keys::new(), Random::seeded(1));
    let identity = PeerIdentity::new("sso", keys.mesh.signer(TokenKind::Peer), keys.clock, random.clone());
    let (network, tracer) = (hosts.network(), telemetry.tracer("sso"));
    let options = ChannelOptions { network, tracer, random, contracts: contracts(), ..ChannelOptions::default() };
    let channel = Channel::connect("echo", "http://echo:80", identity, options);
    let mut ends = async |method, time, wanted: &[&str]| {
        let _ = tokio::time::timeout(time, say(&channel, method, "")).await;
        let spans = captured.spans();
        let attempts = of_kind(&spans, Kind::Client);
        let codes: Vec<_> = attempts.iter().map(|span| text(span, "rpc.response.status_code")).collect();
        assert_eq!(codes.iter().map(Option::as_deref).collect::<Option<Vec<_>>>().as_deref(), Some(wanted));
        let mut went: Vec<_> = attempts.iter().map(|span| text(span, "network.peer.address")).collect();
        went.sort();
        went.dedup();
        assert!(went.len() == wanted.len() && went.iter().all(Option::is_some), "{went:?}");
    };
    // The caller leaves; each endpoint of three is asked beside the ones before, and all are given up at the deadline.
    ends("Once", Duration::from_millis(10), &["CANCELLED"]).await;
    ends("Public", Duration::from_secs(3), &["DEADLINE_EXCEEDED"; 3]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_as_long_as_its_span() {
    let (telemetry, mut captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let told = Echo::stream(|| tokio_stream::iter([Ok(String::new()), Err(Status::data_loss("the second"))]));
    let (items, status) = listen(&channel(router(told, &telemetry), Some("sso"), &telemetry)).await;
    assert_eq!((items.len(), status.map(|status| status.code())), (1, Some(Code::DataLoss)));
    let spans = captured.spans();
    assert_eq!(spans.len(), 3);
    assert!(
        spans.iter().all(|span| text(span, "rpc.response.status_code").as_deref() == Some("DATA_LOSS")),
        "{spans:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_a_flow_begins_it_is_decided_whether_it_is_traced() {
    for (callers, callees) in [(1.0, 0.0), (0.0, 1.0)] {
        let (caller, mut calls) = Telemetry::captured(callers, Outsiders::Strip);
        let (callee, mut answers) = Telemetry::captured(callees, Outsiders::Strip);
        let told =
            say(&channel(router(telling(), &callee), Some("sso"), &caller), "Public", "").await.expect("answered");
        // One that is not traced has a name all the same, for the log.
        assert_eq!(told.len(), 49);
        let (calls, answers) = (calls.spans(), answers.spans());
        assert_eq!((calls.len(), answers.len()), if callers > 0.0 { (2, 1) } else { (0, 0) });
        assert!(answers.iter().all(|answer| answer.trace_id == calls[0].trace_id));
    }
}

#[tokio::test(start_paused = true)]
async fn the_ratio_is_kept() {
    let (telemetry, mut captured) = Telemetry::captured(0.25, Outsiders::Strip);
    let channel = channel(router(echoing(), &telemetry), Some("sso"), &telemetry);
    let mut traced = 0;
    for _ in 0..1000 {
        say(&channel, "Public", "").await.expect("answered");
        traced += captured.spans().len();
    }
    // 250 are expected; six standard deviations are 82.
    assert!((168..=332).contains(&(traced / 3)), "{traced}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_after_the_answer_is_in_the_trace_if_it_inherits_it() {
    let (telemetry, _captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let echo = Echo::unary(|_| async {
        let (lost, kept) = (tokio::spawn(async { ids() }), tokio::spawn(inherit(async { ids() })));
        assert_eq!((lost.await.expect("no panic"), kept.await.expect("no panic")), (None, ids()));
        Ok(ids().map(|(trace, _)| trace).unwrap_or_default())
    });
    let told = say(&channel(router(echo, &telemetry), Some("sso"), &telemetry), "Public", "").await.expect("answered");
    assert_eq!(told.len(), 32);
}

#[tokio::test(start_paused = true)]
async fn an_outsiders_context_is_stripped_unless_it_is_accepted_and_a_peers_is_believed() {
    let off = Telemetry::off();
    for (outsiders, caller, believed) in [
        (Outsiders::Strip, None, false),
        (Outsiders::Accept, None, true),
        (Outsiders::Strip, Some("sso"), true),
        (Outsiders::Strip, Some("blog"), true),
    ] {
        let (telemetry, mut captured) = Telemetry::captured(1.0, outsiders);
        let channel = channel(router(telling(), &telemetry), caller, &off);
        let told = call(&channel, "Public", with_context(GIVEN)).await.expect("answered");
        assert_eq!(told.starts_with(GIVEN_TRACE), believed, "{outsiders:?} {caller:?}");
        assert_eq!(captured.spans()[0].parent_span_id.is_empty(), !believed);
        // Who says that it is not traced is believed as well.
        let not = GIVEN.replace("-01", "-00");
        call(&channel, "Public", with_context(&not)).await.expect("answered");
        assert_eq!(captured.spans().is_empty(), believed);
    }
}

#[tokio::test]
async fn in_plain_text_a_peer_is_believed_by_its_token() {
    let keys = Keys::new();
    let forger = Keys { mesh: crate::token::MeshKey::new([1; 32], "test"), ..Keys::new() };
    let (telemetry, _captured) = Telemetry::captured(1.0, Outsiders::Strip);
    let stack = Stack { tracer: telemetry.tracer("echo"), ..keys.stack() };
    let running = sockets::serve_stack(telling(), stack).await;
    for (signed_by, believed) in [(&keys, true), (&forger, false)] {
        let identity =
            PeerIdentity::new("sso", signed_by.mesh.signer(TokenKind::Peer), keys.clock.clone(), Random::seeded(1));
        let uri = format!("http://{}", running.address);
        let options = ChannelOptions { contracts: contracts(), ..ChannelOptions::default() };
        let channel = Channel::connect("echo", &uri, identity, options);
        let told = call(&channel, "Public", with_context(GIVEN)).await.expect("answered");
        assert_eq!(told.starts_with(GIVEN_TRACE), believed);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_telemetry_nothing_is_passed_on() {
    let off = Telemetry::off();
    let echo = Echo::unary(|request| async move {
        assert_eq!(ids(), None);
        Ok(format!("{:?}", request.metadata().get("traceparent")))
    });
    let told = say(&channel(router(echo, &off), Some("sso"), &off), "Public", "").await.expect("answered");
    assert_eq!(told, "None");
}

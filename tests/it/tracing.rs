//! One trace for each flow, across all services, as a collector gets it; and what a collector costs that does not get it.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use ::tracing::subscriber;
use mesh::{
    Admin, Clock, Random, Shutdown, Telemetry, TelemetryConfig,
    config::Secret,
    telemetry::{Outsiders, TelemetryError},
};
use onebox::Edge;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use proto::sso::v1::{ProvisioningState, auth_service_client::AuthServiceClient};
use tokio::net::TcpListener;
use tonic::Request;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use crate::{
    collector::{Collector, Point, Told},
    wire::servers::Mesh,
    world::{Person, World},
};

const SIGN_UP: &str = "sso.v1.AuthService/SignUp";

fn telemetry(endpoint: impl std::fmt::Display, queue: usize) -> Telemetry {
    let endpoint = format!("http://{endpoint}");
    start(TelemetryConfig { endpoint, queue, ..everything() }).expect("the settings hold")
}

/// Each flow is traced.
fn everything() -> TelemetryConfig {
    let (endpoint, roots, headers) = Default::default();
    TelemetryConfig {
        endpoint,
        roots,
        headers,
        ratio: 1.0,
        queue: 4096,
        outsiders: Outsiders::Strip,
        metrics_seconds: 0,
    }
}

fn start(config: TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    Telemetry::start(&config, Clock::system(), Random::system())
}

/// Takes up what databases say on this thread. Asked for once they have spoken: what another test's thread says for the first time at the very moment a
/// subscriber comes would be missed for good.
fn transactions() -> subscriber::DefaultGuard {
    subscriber::set_default(Registry::default().with(mesh::trace::database()))
}

/// The spans of the trace that begins with a sign-up.
fn of_sign_up(spans: &[Told]) -> Vec<Told> {
    let root = spans.iter().find(|told| told.span.name == SIGN_UP).expect("a sign-up");
    let (trace, parent) = (root.span.trace_id.clone(), &root.span.parent_span_id);
    assert!(parent.is_empty() && root.kind() == SpanKind::Server && root.service == "sso", "{root:?}");
    spans.iter().filter(|told| told.span.trace_id == trace).cloned().collect()
}

/// The only span of that kind under `parent`.
fn under<'a>(trace: &'a [Told], parent: &Told, name: &str, kind: SpanKind, service: &str) -> &'a Told {
    let is_it =
        |told: &&Told| told.span.parent_span_id == parent.span.span_id && told.span.name == name && told.kind() == kind;
    let found: Vec<_> = trace.iter().filter(is_it).collect();
    let [told] = found[..] else { panic!("{name} {kind:?} under {}: {trace:#?}", parent.span.name) };
    assert_eq!(told.service, service);
    assert!(told.span.end_time_unix_nano >= told.span.start_time_unix_nano);
    told
}

/// The whole flow: each of SSO's calls has an attempt, each attempt the callee's span of another service, and each callee its transactions.
fn is_the_flow(trace: &[Told]) {
    let root = trace.iter().find(|told| told.span.name == SIGN_UP).expect("the root");
    for (method, service, write) in [
        ("social.v1.UserService/CreateUser", "social", "write tell_user"),
        ("blog.v1.UserService/CreateUser", "blog", "write tell_user"),
        ("sms.v1.OtpService/SendOtp", "sms", "write send_otp"),
    ] {
        let call = under(trace, root, method, SpanKind::Internal, "sso");
        let attempt = under(trace, call, method, SpanKind::Client, "sso");
        assert_eq!(attempt.attributes()["server.address"], service);
        let served = under(trace, attempt, method, SpanKind::Server, service);
        assert_eq!(served.attributes()["rpc.response.status_code"], "OK");
        let stored = under(trace, served, write, SpanKind::Client, service);
        assert!(["sqlite", "postgresql"].contains(&stored.attributes()["db.system.name"].as_str()));
    }
    under(trace, root, "write create_user", SpanKind::Client, "sso");
    assert!(trace.iter().all(|told| !told.failed()), "{trace:#?}");
    let services: HashSet<_> = trace.iter().map(|told| told.service.as_str()).collect();
    assert_eq!(services, HashSet::from(["sso", "sms", "social", "blog"]));
    let ids: HashSet<_> = trace.iter().map(|told| &told.span.span_id).collect();
    assert_eq!(ids.len(), trace.len());
}

/// Nothing of the person is in any attribute, whatever its name.
fn is_discreet(spans: &[Told], person: &Person) {
    for told in spans {
        for (key, value) in told.attributes() {
            for secret in [&person.address, &person.username, &person.password] {
                assert!(!value.contains(secret), "{key} of {}", told.span.name);
            }
            assert!(!value.contains("v4.") && !key.contains("user"), "{key} of {}", told.span.name);
        }
        assert!(!told.span.name.contains(&person.username));
    }
}

#[tokio::test]
async fn a_sign_up_is_one_trace_over_sockets() {
    let collector = Collector::start(Duration::ZERO).await;
    let telemetry = telemetry(collector.address, 4096);
    let mesh = Mesh::start_traced(&telemetry).await;
    let _transactions = transactions();
    let anna = Person::with_email("anna");
    let mut request = Request::new(anna.sign_up());
    // What an outsider says of traces is nobody's business here.
    let outside = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", outside.parse().expect("a value"));
    let answer = AuthServiceClient::new(mesh.client("sso")).sign_up(request).await.expect("signed up").into_inner();
    assert!(answer.provisioning.iter().all(|one| one.state() == ProvisioningState::Done), "{answer:?}");
    mesh.stop().await;
    telemetry.flush().await;
    let spans = collector.spans();
    is_the_flow(&of_sign_up(&spans));
    is_discreet(&spans, &anna);
}

#[tokio::test]
async fn a_sign_up_is_one_trace_in_memory() {
    let collector = Collector::start(Duration::ZERO).await;
    let telemetry = telemetry(collector.address, 4096);
    let edge = Edge { inline: true, telemetry: telemetry.clone(), ..Edge::system() };
    let world = World::start_at(edge).await;
    let _transactions = transactions();
    let anna = Person::with_phone("anna", "+84912345678");
    world.sign_up(&anna).await.expect("signed up");
    world.stop().await;
    let spans = collector.spans();
    is_the_flow(&of_sign_up(&spans));
    is_discreet(&spans, &anna);
}

/// The attributes of calls that went well.
fn ok(method: &str) -> [(&str, &str); 3] {
    [("rpc.system.name", "grpc"), ("rpc.method", method), ("rpc.response.status_code", "OK")]
}

#[tokio::test]
async fn metrics_are_told_under_the_names_of_opentelemetry() {
    let collector = Collector::start(Duration::ZERO).await;
    let endpoint = format!("http://{}", collector.address);
    let telemetry = start(TelemetryConfig { endpoint, metrics_seconds: 3600, ..everything() }).expect("settings");
    let edge = Edge { inline: true, telemetry: telemetry.clone(), ..Edge::system() };
    let world = World::start_at(edge).await;
    let admin = Admin::new(Shutdown::manual());
    world.plaza().describe(&admin);
    telemetry.push("plaza", &admin).expect("the settings hold");
    world.sign_up(&Person::with_email("anna")).await.expect("signed up");
    world.stop().await;

    let count = |service, name, wanted: &[(&str, &str)]| {
        let (unit, points) = collector.metric(service, name).unwrap_or_else(|| panic!("{name} of {service}"));
        let is_it = |(of, _): &&Point| wanted.iter().all(|(key, text)| of[*key] == *text);
        let count = points.iter().find(is_it).map(|(_, count)| *count);
        (unit, count.unwrap_or_else(|| panic!("{wanted:?} of {points:?}")))
    };
    assert_eq!(count("sso", "rpc.server.call.duration", &ok(SIGN_UP)), ("s".to_owned(), 1.0));
    for callee in ["social", "blog"] {
        let method = format!("{callee}.v1.UserService/CreateUser");
        assert_eq!(count("sso", "rpc.client.call.duration", &ok(&method)).1, 1.0);
        assert_eq!(count(callee, "rpc.server.call.duration", &ok(&method)).1, 1.0);
    }
    assert_eq!(count("sso", "db.client.operation.duration", &[("db.operation.name", "create_user")]).1, 1.0);
    assert_eq!(count("plaza", "plaza_build_info", &[]).1, 1.0);
}

/// How long the slowest of many calls takes, each of them traced.
async fn calls(telemetry: &Telemetry) -> Duration {
    let edge = Edge { inline: true, telemetry: telemetry.clone(), ..Edge::system() };
    let world = World::start_at(edge).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..300 {
        let began = Instant::now();
        world.auth().sign_up(proto::sso::v1::SignUpRequest::default()).await.expect_err("nothing in it");
        slowest = slowest.max(began.elapsed());
    }
    let began = Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "the end waits for a collector: {:?}", began.elapsed());
    slowest
}

#[tokio::test]
async fn a_collector_that_is_silent_slow_or_gone_costs_calls_nothing() {
    let hole = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let slow = Collector::start(Duration::from_secs(5)).await;
    for (name, address) in [("silent", hole.local_addr().expect("an address")), ("gone", gone), ("slow", slow.address)]
    {
        let telemetry = telemetry(address, 64);
        let slowest = Box::pin(calls(&telemetry)).await;
        assert!(slowest < Duration::from_millis(200), "{name}: a call took {slowest:?}");
    }
}

/// How many spans of one refused call came to the collector.
async fn arrived(config: TelemetryConfig, collector: &Collector) -> usize {
    let telemetry = start(config).expect("the settings hold");
    let edge = Edge { inline: true, telemetry: telemetry.clone(), ..Edge::system() };
    let (world, before) = (World::start_at(edge).await, collector.spans().len());
    world.auth().sign_up(proto::sso::v1::SignUpRequest::default()).await.expect_err("nothing in it");
    world.stop().await;
    collector.spans().len() - before
}

#[tokio::test]
async fn over_tls_a_collector_is_believed_by_its_name_and_shown_a_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let [certs, others] = ["certs", "others"].map(|name| {
        let path = folder.path().join(name);
        onebox::certs::write(&path, "plaza.local", &Clock::system()).expect("certificates");
        path
    });
    let collector = Collector::start_secure(&certs, "open sesame").await;
    let port = collector.address.port();
    let config = |host: &str, roots: &Path, key: &str| {
        let (endpoint, roots) = (format!("https://{host}:{port}"), roots.join(onebox::certs::ROOTS));
        TelemetryConfig { endpoint, roots, headers: vec![Secret::new(format!("x-api-key: {key}"))], ..everything() }
    };
    for (host, roots, key, comes) in [
        ("127.0.0.1", &certs, "open sesame", true),
        ("localhost", &certs, "open sesame", true),
        // Another key, another authority, and an address that the certificate does not have.
        ("127.0.0.1", &certs, "open barley", false),
        ("127.0.0.1", &others, "open sesame", false),
        ("127.0.0.2", &certs, "open sesame", false),
    ] {
        let spans = Box::pin(arrived(config(host, roots, key), &collector)).await;
        assert_eq!(spans > 0, comes, "{host} {key} under {}", roots.display());
    }
    let nowhere = start(config("127.0.0.1", &folder.path().join("nowhere"), "")).expect_err("no roots").to_string();
    assert!(nowhere.contains("telemetry.roots") && nowhere.contains("nowhere"), "{nowhere}");
}

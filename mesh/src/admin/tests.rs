//! The admin port over a socket.

use std::{
    future::ready,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Admin, AdminConfig, LIFE, SILENCE};
use crate::{
    channel::{Channel, ChannelOptions},
    metrics::{ClientMetrics, Sample},
    server::{Router, Server, bind},
    shutdown::Shutdown,
    testing::{Echo, Keys, contracts, say},
};

struct Site {
    address: SocketAddr,
    admin: Admin,
    shutdown: Shutdown,
}

async fn site() -> Site {
    let shutdown = Shutdown::manual();
    let admin = Admin::new(shutdown.clone());
    let listener = bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(admin.clone().serve(listener));
    Site { address, admin, shutdown }
}

impl Site {
    /// Status and body.
    async fn ask(&self, line: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    fn health(&self) -> HealthClient<tonic::transport::Channel> {
        HealthClient::new(Endpoint::from_shared(format!("http://{}", self.address)).expect("a URI").connect_lazy())
    }
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// A service that is ready while `holds` is.
fn router(holds: &Arc<AtomicBool>) -> Router {
    let holds = Arc::clone(holds);
    Server::new("echo", Keys::new().stack())
        .with_contracts(contracts())
        .add(Echo::unary(|request| async { Ok(request.into_inner()) }))
        .check("database", move || {
            let holds = holds.load(Ordering::SeqCst);
            async move { if holds { Ok(()) } else { Err("the password is wrong") } }
        })
        .samples(|| async {
            let (labels, buckets) = (vec![("kind", "a".to_owned())], Vec::new());
            vec![Sample { name: "plaza_test", help: "A test.", labels, value: 2.0, buckets }]
        })
        .build()
        .expect("builds")
}

#[tokio::test]
async fn a_process_is_ready_when_its_checks_hold_and_it_does_not_stop() {
    let site = site().await;
    assert_eq!(site.ask("GET /livez").await.0, 200);
    assert_eq!(site.ask("GET /readyz").await, (503, "not ready\n".to_owned()), "it is starting");
    let holds = Arc::new(AtomicBool::new(true));
    site.admin.add(router(&holds));
    assert_eq!(site.ask("GET /readyz").await, (200, "ready\necho/database ok\n".to_owned()));

    holds.store(false, Ordering::SeqCst);
    sleep(super::readiness::GOOD_FOR).await;
    assert_eq!(site.ask("GET /readyz").await, (503, "not ready\necho/database failed\n".to_owned()));
    assert_eq!(site.ask("GET /livez").await.0, 200, "a database that is gone is no reason to start again");
    holds.store(true, Ordering::SeqCst);
    sleep(super::readiness::GOOD_FOR).await;
    assert_eq!(site.ask("GET /readyz").await.0, 200);

    site.shutdown.begin();
    assert_eq!(site.ask("GET /readyz").await, (503, "not ready\necho/database ok\n".to_owned()), "at once");
    assert_eq!(site.ask("GET /livez").await.0, 200);
    assert!(site.ask("GET /metrics").await.1.contains("plaza_draining 1\n"));
}

#[tokio::test]
async fn grpc_health_is_on_the_same_port() {
    let site = site().await;
    site.admin.add(router(&Arc::new(AtomicBool::new(true))));
    let mut health = site.health();
    for service in ["", "readiness", "liveness"] {
        assert_eq!(health.check(of(service)).await.expect("known").into_inner().status, 1, "{service}");
    }
    assert_eq!(health.check(of("other")).await.expect_err("unknown").code(), Code::NotFound);
    let mut watched = health.watch(of("readiness")).await.expect("watched").into_inner();
    assert_eq!(watched.message().await.expect("told").map(|answer| answer.status), Some(1));
    site.shutdown.begin();
    assert_eq!(watched.message().await.expect("told").map(|answer| answer.status), Some(2));
    for (service, status) in [("", 2), ("readiness", 2), ("liveness", 1)] {
        assert_eq!(health.check(of(service)).await.expect("known").into_inner().status, status, "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_or_panics_has_failed() {
    let admin = Admin::new(Shutdown::manual());
    let stuck = Server::new("echo", Keys::new().stack())
        .with_contracts(contracts())
        .check("stuck", std::future::pending::<Result<(), String>>)
        .check("broken", || async { if true { panic!("it is a test") } else { Ok::<_, String>(()) } })
        .check("fine", || async { Ok::<_, String>(()) });
    admin.add(stuck.build().expect("builds"));
    let began = tokio::time::Instant::now();
    let look = admin.look().await;
    assert!(!look.ready && began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let checks: Vec<_> = look.checks.iter().map(|(name, holds)| (name.as_str(), *holds)).collect();
    assert_eq!(checks, [("echo/broken", false), ("echo/fine", true), ("echo/stuck", false)]);
}

#[tokio::test]
async fn the_page_tells_of_both_ends_of_a_call() {
    let site = site().await;
    let (router, metrics) = (router(&Arc::new(AtomicBool::new(true))), ClientMetrics::new());
    site.admin.add(router.clone());
    site.admin.add_client("sso", metrics.clone());
    let channel = Channel::in_memory(router, None, ChannelOptions { metrics, ..ChannelOptions::default() });
    assert_eq!(say(&channel, "Public", "hello").await.expect("answered"), "hello");
    say(&channel, "Nothing", "").await.expect_err("unknown");
    let (status, page) = site.ask("GET /metrics").await;
    assert_eq!(status, 200);
    let echo = "rpc_system_name=\"grpc\",rpc_method=\"test.v1.EchoService/Public\",rpc_response_status_code=\"OK\"";
    for line in [
        format!("rpc_server_call_duration_seconds_count{{service=\"echo\",{echo}}} 1\n"),
        "plaza_build_info{version=\"".to_owned(),
        "plaza_draining 0\n".to_owned(),
        "plaza_check{check=\"echo/database\"} 1\n".to_owned(),
        "plaza_test{kind=\"a\"} 2\n".to_owned(),
        "rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\",error_type=\"UNIMPLEMENTED\"} 1\n".to_owned(),
        "plaza_client_calls_in_flight{service=\"sso\"} 0\n".to_owned(),
        "rpc_client_call_duration_seconds_count{service=\"sso\",rpc_system_name=\"grpc\",rpc_method=\"_OTHER\",\
            rpc_response_status_code=\"OK\",server_address=\"_OTHER\"} 1\n"
            .to_owned(),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_sent_again_are_counted_apart() {
    let (admin, metrics, asked) =
        (Admin::new(Shutdown::manual()), ClientMetrics::new(), Arc::new(AtomicBool::new(false)));
    admin.add_client("sso", metrics.clone());
    let flaky = Echo::unary(move |_| {
        let again = asked.swap(true, Ordering::SeqCst);
        async move { if again { Ok(String::new()) } else { Err(Status::unavailable("not yet")) } }
    });
    let options = ChannelOptions { metrics, ..ChannelOptions::default() };
    let channel = Channel::in_memory(flaky.router(Keys::new().stack()), None, options);
    say(&channel, "Public", "").await.expect("answered");
    let page = admin.metrics().await;
    let labels = "service=\"sso\",grpc_method=\"_OTHER\",grpc_target=\"_OTHER\"";
    for line in [
        format!("grpc_client_attempt_started_total{{{labels}}} 2\n"),
        format!("grpc_client_call_retries_bucket{{{labels},le=\"1\"}} 1\n"),
        format!("grpc_client_call_retries_sum{{{labels}}} 1\n"),
        // A failure takes a token, a success gives back a tenth.
        "plaza_channel_retry_tokens{service=\"sso\",grpc_target=\"echo\"} 999.1\n".to_owned(),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(!page.contains("transparent_retries") && !page.contains("plaza_channel_endpoints"), "{page}");
    assert!(page.contains("rpc_response_status_code=\"OK\",server_address=\"_OTHER\"} 1\n"), "one call: {page}");
    drop(channel);
    assert!(!admin.metrics().await.contains("plaza_channel_"), "one that is gone is not told of");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_ends_and_a_watch_goes_on() {
    let admin = Admin::new(Shutdown::manual());
    // Nothing; what may become a request, or HTTP/2; HTTP/2 without a call.
    for words in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let (mut near, far) = duplex(1024);
        near.write_all(words).await.expect("sent");
        timeout(SILENCE * 2, admin.clone().connection(far)).await.expect("it ends");
    }
    let (near, far) = duplex(64 * 1024);
    let served = tokio::spawn(admin.clone().connection(far));
    let mut near = Some(TokioIo::new(near));
    let once = tower::service_fn(move |_: http::Uri| ready(near.take().ok_or("there is one connection")));
    let channel = Endpoint::from_static("http://admin").connect_with_connector(once).await.expect("connected");
    let mut watched = HealthClient::new(channel).watch(of("readiness")).await.expect("watched").into_inner();
    assert_eq!(watched.message().await.expect("told").map(|answer| answer.status), Some(2));
    sleep(SILENCE * 10).await;
    admin.add(router(&Arc::new(AtomicBool::new(true))));
    assert_eq!(watched.message().await.expect("told").map(|answer| answer.status), Some(1));
    timeout(LIFE, served).await.expect("even a watch ends").expect("no panic");
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let site = site().await;
    assert_eq!(site.ask("GET /").await.0, 404);
    assert_eq!(site.ask("POST /livez").await.0, 405);
    assert_eq!(site.ask("HEAD /livez").await.0, 200);
    let none = AdminConfig { listen: String::new() };
    site.admin.listen(&none).await.expect("there is none to take");
    let taken = AdminConfig { listen: site.address.to_string() };
    let error = site.admin.listen(&taken).await.expect_err("taken").to_string();
    assert!(error.contains("is taken"), "{error}");
}

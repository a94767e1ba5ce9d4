//! Endpoints that are left for failing (gRFC A50).

use bytes::Bytes;
use h2::server::SendResponse;

use tokio_stream::StreamExt as _;

use super::*;
use crate::{
    admin::Admin,
    deadline::{self, Deadline},
    metrics::ClientMetrics,
    shutdown::Shutdown,
    testing::open,
};

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_is_left_for_a_while() {
    let (bad, good) = (host(millis(1), Some(Code::Internal)), host(millis(1), None));
    let hosts = Hosts::of([bad.0, good.0, up()]);
    let channel = channel(options(&hosts));
    let lost = load(&channel, "Once", 1, 300).await;
    assert_eq!((lost.len(), bad.1.load(SeqCst)), (5, 5), "five in a row");
    sleep(Duration::from_secs(25)).await;
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0, "still out");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(load(&channel, "Once", 1, 300).await.len(), 5, "given another chance");
    sleep(Duration::from_secs(45)).await;
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0, "and out for twice as long");
}

/// Something else at the address of an endpoint: it answers, at once and as HTTP, and not as a service of gRPC does.
fn stranger(status: u16, kind: &'static str) -> (Host, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let answer = move |_: usize, _: &http::Request<h2::RecvStream>, mut respond: SendResponse<Bytes>| {
        count.fetch_add(1, SeqCst);
        let head = http::Response::builder().status(status).header("content-type", kind).body(()).expect("a head");
        let mut body = respond.send_response(head, false).expect("sent");
        body.send_data(Bytes::from_static(&[0; 5]), true).expect("sent");
    };
    (Host::Scripted(Arc::new(answer)), asked)
}

#[tokio::test(start_paused = true)]
async fn what_answers_and_is_no_service_is_left() {
    for (status, kind) in [
        (503, "text/html"),
        (404, "text/html"),
        (415, "application/grpc"),
        (200, "text/html"),
        // The status of the call is missing.
        (200, "application/grpc"),
    ] {
        let (bad, asked) = stranger(status, kind);
        let lost = load(&channel(options(&Hosts::of([bad, up(), up()]))), "Once", 1, 300).await;
        assert_eq!((lost.len(), asked.load(SeqCst)), (5, 5), "{status} {kind}: {:?}", lost.first());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_is_never_ejected() {
    let (bad, worse) = (host(millis(1), Some(Code::Internal)), host(millis(1), Some(Code::Internal)));
    let hosts = Hosts::of([bad.0, worse.0, Host::Down]);
    let channel = channel(options(&hosts));
    let lost = load(&channel, "Once", 1, 300).await;
    assert!(lost.iter().all(|status| status.code() == Code::Internal), "asked, and answered");
    let [bad, worse] = [bad.1, worse.1].map(|asked| asked.load(SeqCst));
    assert_eq!((bad + worse, bad.min(worse) < 10), (300, true), "{bad} {worse}");
}

#[tokio::test(start_paused = true)]
async fn half_the_calls_failing_ejects_though_never_five_in_a_row() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let shaky = Echo::unary(move |_| {
        let good = count.fetch_add(1, SeqCst).is_multiple_of(3);
        let answer = if good { Ok("fine".to_owned()) } else { Err(Status::internal("no")) };
        async move { answer }
    });
    let hosts = Hosts::of([Host::Up(shaky.router(Keys::new().stack())), up()]);
    let channel = channel(options(&hosts));
    load(&channel, "Once", 1, 300).await;
    sleep(Duration::from_secs(10)).await;
    let before = asked.load(SeqCst);
    assert!(before > 50, "never five in a row: {before}");
    assert_eq!(load(&channel, "Once", 1, 100).await.len(), 0);
    assert_eq!(asked.load(SeqCst), before, "judged, and out");
}

#[tokio::test(start_paused = true)]
async fn at_most_half_are_ejected() {
    for (hosts, most) in [(2, 1), (3, 1), (4, 2), (5, 2)] {
        let failing: Vec<_> = (1..hosts).map(|_| host(millis(1), Some(Code::Internal))).collect();
        let all = Hosts::of(failing.iter().map(|(host, _)| host.clone()).chain([up()]));
        load(&channel(options(&all)), "Once", 1, 400).await;
        // Some for five failures in a row; the others, for which there is no room, go on to be asked.
        let (out, asked): (Vec<_>, Vec<_>) =
            failing.iter().map(|(_, asked)| asked.load(SeqCst)).partition(|asked| *asked == 5);
        assert_eq!(out.len(), most, "of {hosts}");
        assert!(asked.iter().all(|asked| *asked > 50), "of {hosts}: {asked:?}");
    }
}

/// A person who gives a public method no time must not take its peers away from everybody.
#[tokio::test(start_paused = true)]
async fn no_endpoint_is_to_blame_for_a_caller_in_a_hurry() {
    // Late by the caller's clock, and by the callee's.
    for (time, failure) in [(millis(100), None), (millis(1), Some(Code::DeadlineExceeded))] {
        let all = [(); 2].map(|()| host(time, failure));
        let channel = channel(options(&Hosts::of(all.iter().map(|(host, _)| host.clone()))));
        let hurried = async |calls| {
            for _ in 0..calls {
                let call = deadline::within(Deadline::after(millis(5)), say(&channel, "Once", ""));
                assert_eq!(call.await.expect_err("late").code(), Code::DeadlineExceeded);
            }
            all.each_ref().map(|(_, asked)| asked.load(SeqCst))
        };
        let (before, after) = (hurried(40).await, hurried(40).await);
        assert!([0, 1].iter().all(|at| after[*at] - before[*at] > 10), "both go on: {before:?} {after:?}");
    }
}

/// Streams whose callers come to read them when their time is over, and streams whose callees leave them waiting until then.
#[tokio::test(start_paused = true)]
async fn no_endpoint_is_to_blame_for_a_caller_that_does_not_read() {
    for (idle, ejected) in [(Duration::from_secs(3), 0), (Duration::ZERO, 1)] {
        let long = || tokio_stream::once(Ok("first".to_owned())).chain(tokio_stream::pending());
        let hosts = Hosts::of([(); 2].map(|()| Host::Up(Echo::stream(long).router(Keys::new().stack()))));
        let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
        admin.add_client("sso", metrics.clone());
        let channel = channel(ChannelOptions { metrics, ..options(&hosts) });
        for _ in 0..20 {
            let mut stream = open(&channel).await.expect("answered");
            assert_eq!(stream.message().await.expect("it is there").as_deref(), Some("first"));
            sleep(idle).await;
            assert_eq!(stream.message().await.expect_err("too late").code(), Code::DeadlineExceeded);
        }
        let page = admin.metrics().await;
        let line =
            format!("plaza_channel_endpoints{{service=\"sso\",grpc_target=\"echo\",state=\"ejected\"}} {ejected}\n");
        assert!(page.contains(&line), "{idle:?}: {page}");
    }
}

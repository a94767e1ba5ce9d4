//! Endpoints that are not there, mute, slow or frozen, among others that are well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, transport::Endpoint};
use tonic_prost::ProstCodec;

use super::{Control, DEADLINE, MARGIN, Outcome, addresses, bare, connect, load, millis, only, ours, replicas};
use crate::{
    server::Limits,
    testing::{
        Echo, Keys, listen, say,
        sockets::{Proxy, serve},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_loses_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let all = [addresses(&replicas), vec![dead]].concat();
    load(ours(&connect(&keys, all.clone()), "Once"), 50).await.expect("no panic").is_whole();
    load(bare(&all, DEADLINE), 50).await.expect("no panic").lost_some();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_connections_and_no_more_loses_no_call_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    // The operating system takes the connections; nobody ever reads from them.
    let hole = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let all = [addresses(&replicas), vec![hole.local_addr().expect("an address")]].concat();
    load(ours(&connect(&keys, all.clone()), "Once"), 50).await.expect("no panic").is_whole();
    // Nor is a time that is over a call that somebody has given up.
    let beside = load(bare(&all, millis(100)), 5).await.expect("no panic");
    assert_eq!(beside.lost_some(), only(Code::Cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_has_few_calls_and_plain_tonic_gives_it_its_share() {
    let keys = Keys::new();
    let mut all = replicas(2, millis(5), &keys, Limits::default()).await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let slow = Echo::unary(move |request| {
        count.fetch_add(1, SeqCst);
        async move {
            sleep(millis(300)).await;
            Ok(request.into_inner())
        }
    });
    all.push(serve(slow, &keys, Limits::default()).await);
    // In per cent.
    let share = |outcome: Outcome| {
        outcome.is_whole();
        asked.swap(0, SeqCst) as usize * 100 / outcome.calls
    };
    let channel = connect(&keys, addresses(&all));
    let few = share(load(ours(&channel, "Once"), 100).await.expect("no panic"));
    assert!(few < 20, "{few} % went to the slow one; a third would be chance");
    let chance = share(load(bare(&addresses(&all), DEADLINE), 25).await.expect("no panic"));
    assert!(chance > 20, "{chance} % went to the slow one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_answers_nothing_any_more_loses_no_call_that_may_be_repeated_and_plain_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(3, millis(5), &keys, Limits::default()).await;
    let proxy = Proxy::to(replicas[0].address).await;
    let all = vec![proxy.address, replicas[1].address, replicas[2].address];
    let (channel, beside) = (connect(&keys, all.clone()), bare(&all, millis(200)));
    load(ours(&channel, "Public"), 10).await.expect("no panic").is_whole();
    load(beside.clone(), 10).await.expect("no panic").is_whole();
    let under_load = load(ours(&channel, "Public"), 100);
    sleep(millis(100)).await;
    proxy.freeze();
    under_load.await.expect("no panic").is_whole();
    assert_eq!(load(beside, 5).await.expect("no panic").lost_some(), only(Code::Cancelled));
}

/// The only endpoint is frozen: nobody can save the call, and nothing but its own deadline ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let keys = Keys::new();
    let replica = replicas(1, Duration::ZERO, &keys, Limits::default()).await.remove(0);
    let proxy = Proxy::to(replica.address).await;
    let channel = connect(&keys, vec![proxy.address]);
    say(&channel, "Once", "").await.expect("answered");
    proxy.freeze();
    let outcome = load(ours(&channel, "Once"), 1).await.expect("no panic");
    outcome.is_in_time();
    assert_eq!((outcome.lost.len(), outcome.lost_some()), (12, only(Code::DeadlineExceeded)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_falls_silent_ends_at_its_deadline_and_with_plain_tonic_does_not() {
    let keys = Keys::new();
    let endless = Echo::stream(|| tokio_stream::once(Ok("first".to_owned())).chain(tokio_stream::pending()));
    let replica = serve(endless, &keys, Limits::default()).await;
    let proxy = Proxy::to(replica.address).await;
    let channel = connect(&keys, vec![proxy.address]);
    let plain = Endpoint::from_shared(format!("http://{}", proxy.address)).expect("a URI").connect_lazy();
    let ours = async {
        let (control, (items, status)) = (Control::start(), listen(&channel).await);
        assert!(control.late().await <= MARGIN);
        assert_eq!(
            (items, status.map(|status| status.code())),
            (vec!["first".to_owned()], Some(Code::DeadlineExceeded))
        );
    };
    let bare = async {
        let mut grpc = tonic::client::Grpc::new(plain);
        grpc.ready().await.expect("ready");
        let (path, codec) = ("/test.v1.EchoService/Stream".parse().expect("a path"), ProstCodec::default());
        let mut request = Request::new(String::new());
        request.set_timeout(DEADLINE);
        let mut items = grpc.server_streaming::<_, String, _>(request, path, codec).await.expect("begun").into_inner();
        assert_eq!(items.message().await.expect("an item").as_deref(), Some("first"));
        assert!(timeout(DEADLINE + millis(500), items.message()).await.is_err(), "plain tonic waits on");
    };
    let freezing = async {
        sleep(millis(500)).await;
        proxy.freeze();
    };
    tokio::join!(ours, bare, freezing);
}

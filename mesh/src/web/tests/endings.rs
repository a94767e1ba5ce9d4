//! How calls and connections end.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    sync::Notify,
};

use super::*;

#[tokio::test]
async fn a_call_under_way_ends_well_when_the_service_stops() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (there, gate) = (Arc::clone(&arrived), Arc::clone(&go));
    let running = serve(Echo::unary(move |_| {
        let (there, gate) = (Arc::clone(&there), Arc::clone(&gate));
        async move {
            there.notify_one();
            gate.notified().await;
            Ok("done".to_owned())
        }
    }))
    .await;
    let address = running.address;
    let called = tokio::spawn(send(address, binary("Public", "")));
    arrived.notified().await;
    running.shutdown.begin();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(answer(called.await.expect("no panic").body()).0, ["done"]);
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_does_not_end_is_unavailable_when_the_service_has_to() {
    let arrived = Arc::new(Notify::new());
    let there = Arc::clone(&arrived);
    let stuck = Echo::unary(move |_| {
        there.notify_one();
        std::future::pending()
    });
    let running = serve_within(stuck, Limits { drain: Duration::from_millis(100), ..Limits::default() }).await;
    let called = tokio::spawn(send(running.address, binary("Public", "")));
    arrived.notified().await;
    running.stop().await;
    assert_eq!(header(called.await.expect("no panic").headers(), "grpc-status"), Some("14"));
}

#[tokio::test]
async fn an_early_answer_reaches_a_page_that_is_still_sending() {
    let running = echoing().await;
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let body = vec![0; 900_000];
    let head = format!(
        "POST /test.v1.EchoService/Bearer HTTP/1.1\r\nhost: x\r\ncontent-type: {BINARY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    // A page looks for its answer when all is sent.
    for part in body.chunks(100_000) {
        stream.write_all(part).await.expect("nobody hangs up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is not reset");
    assert!(answer.contains("grpc-status: 16"), "{answer}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_not_kept() {
    let long = Echo::unary(|_| async { Ok("x".repeat(1024 * 1024)) });
    let limits = Limits { calls: 64, ..Limits::default() };
    let router = long.router(Stack { limits, ..Keys::new().stack() });
    let origins = Arc::new(Origins::parse(&[]).expect("none"));
    let (routers, shutdown) = (Arc::from([router.clone()]), Shutdown::manual());
    let edge = Edge { routers, first: router, origins, shutdown };
    let (mut near, far) = duplex(4096);
    let served = tokio::spawn(async move { edge.speak(far, ClientAddress([127, 0, 0, 1].into())).await });
    let body = frame("");
    let head = format!(
        "POST /test.v1.EchoService/Public HTTP/1.1\r\nhost: x\r\ncontent-type: {BINARY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    near.write_all(&[head.as_bytes(), &body].concat()).await.expect("sent");
    near.read_exact(&mut [0; 12]).await.expect("it begins to be answered");
    timeout(Duration::from_secs(20), served).await.expect("cut").expect("no panic");
}

//! What a mesh is for, over real sockets and in real time: in each situation no call is lost that could be saved, and none goes
//! on beyond its deadline. Bare tonic stands beside it where that costs nothing.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tonic::{
    Code, Request, Status,
    transport::{self, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{Channel, ChannelOptions, Network, PeerIdentity};
use crate::{
    clock::Random,
    server::Limits,
    testing::{
        Echo, Keys, contracts, say,
        sockets::{Proxy, Running, serve, serve_at},
    },
    token::Kind,
};

/// The method's deadline.
const DEADLINE: Duration = Duration::from_secs(2);
/// How much later than its deadline a call may end.
const MARGIN: Duration = Duration::from_millis(50);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn taking(time: Duration) -> Echo {
    Echo::unary(move |request| async move {
        sleep(time).await;
        Ok(request.into_inner())
    })
}

async fn replicas(count: usize, time: Duration, keys: &Keys, limits: Limits) -> Vec<Running> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(serve(taking(time), keys, limits).await);
    }
    all
}

fn connect(keys: &Keys, addresses: Vec<SocketAddr>) -> Channel {
    let network = Network::of(
        move |_, _| {
            let addresses = addresses.clone();
            async move { Ok(addresses) }
        },
        |address| async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        },
    );
    let identity = PeerIdentity::new("sso", keys.mesh.signer(Kind::Peer), keys.clock.clone(), Random::seeded(1));
    let options = ChannelOptions { network, contracts: contracts(), ..ChannelOptions::default() };
    Channel::connect("echo", "http://echo:80", identity, options)
}

fn addresses(replicas: &[Running]) -> Vec<SocketAddr> {
    replicas.iter().map(|replica| replica.address).collect()
}

/// What became of a number of calls.
#[derive(Debug, Default)]
struct Outcome {
    lost: Vec<Status>,
    calls: usize,
    /// How far the latest went beyond its deadline.
    late: Duration,
}

impl Outcome {
    fn is_whole(&self) {
        assert!(self.lost.is_empty(), "{} of {} were lost: {:?}", self.lost.len(), self.calls, self.lost.first());
        self.is_in_time();
    }

    fn is_in_time(&self) {
        assert!(self.late <= MARGIN, "{:?} late", self.late);
    }
}

/// A bare timer for the deadline of a call. A machine with other work wakes both late, and what counts is how much later the call ends.
struct Control {
    due: Instant,
    lag: JoinHandle<Duration>,
}

impl Control {
    fn start() -> Self {
        let due = Instant::now() + DEADLINE;
        let timer = async move {
            sleep_until(due).await;
            due.elapsed()
        };
        Self { due, lag: tokio::spawn(timer) }
    }

    /// How far the call, which ends now, went beyond its deadline.
    async fn late(self) -> Duration {
        let late = self.due.elapsed();
        if late.is_zero() {
            self.lag.abort();
            return late;
        }
        late.saturating_sub(self.lag.await.expect("no panic"))
    }
}

/// Twelve callers, each with `calls` one after the other.
fn load(channel: &Channel, method: &'static str, calls: usize) -> JoinHandle<Outcome> {
    let caller = |channel: Channel| async move {
        let mut outcome = Outcome { calls, ..Outcome::default() };
        for _ in 0..calls {
            let control = Control::start();
            outcome.lost.extend(say(&channel, method, "hello").await.err());
            outcome.late = outcome.late.max(control.late().await);
        }
        outcome
    };
    let callers: Vec<_> = (0..12).map(|_| tokio::spawn(caller(channel.clone()))).collect();
    tokio::spawn(async move {
        let mut all = Outcome::default();
        for caller in callers {
            let mut one = caller.await.expect("no panic");
            all.lost.append(&mut one.lost);
            (all.calls, all.late) = (all.calls + one.calls, all.late.max(one.late));
        }
        all
    })
}

/// The same calls by tonic's own balanced channel, each given a tenth of a second; how many it lost.
async fn bare(addresses: &[SocketAddr], calls: usize) -> usize {
    let endpoints = addresses.iter().map(|address| Endpoint::from_shared(format!("http://{address}")).expect("a URI"));
    let channel = transport::Channel::balance_list(endpoints);
    let mut lost = 0;
    for _ in 0..calls {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.expect("ready");
        let path = "/test.v1.EchoService/Once".parse().expect("a path");
        let mut request = Request::new("hello".to_owned());
        request.set_timeout(millis(100));
        let answer = grpc.unary(request, path, ProstCodec::<String, String>::default()).await;
        lost += usize::from(answer.is_err());
    }
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_call() {
    let keys = Keys::new();
    let replicas = replicas(3, millis(5), &keys, Limits::default()).await;
    let channel = connect(&keys, addresses(&replicas));
    // A restart in good order loses not even what must not be repeated.
    for method in ["Public", "Once"] {
        say(&channel, method, "").await.expect("answered");
    }
    let under_load = load(&channel, "Once", 150);
    let mut restarted = Vec::new();
    for replica in replicas {
        let address = replica.address.to_string();
        replica.stop().await;
        sleep(millis(50)).await;
        restarted.push(serve_at(&address, taking(millis(5)), &keys, Limits::default()).await);
        sleep(millis(150)).await;
    }
    under_load.await.expect("no panic").is_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_endpoint_loses_no_call_and_bare_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let all = [addresses(&replicas), vec![dead]].concat();
    load(&connect(&keys, all.clone()), "Once", 50).await.expect("no panic").is_whole();
    assert!(bare(&all, 600).await > 0, "what this crate is for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_takes_connections_and_no_more_loses_no_call_and_bare_tonic_loses_some() {
    let keys = Keys::new();
    let replicas = replicas(2, Duration::ZERO, &keys, Limits::default()).await;
    // The operating system takes the connections; nobody ever reads from them.
    let hole = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let all = [addresses(&replicas), vec![hole.local_addr().expect("an address")]].concat();
    load(&connect(&keys, all.clone()), "Once", 50).await.expect("no panic").is_whole();
    assert!(bare(&all, 30).await > 0, "what this crate is for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_has_few_calls() {
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
    let outcome = load(&connect(&keys, addresses(&all)), "Once", 100).await.expect("no panic");
    outcome.is_whole();
    let share = asked.load(SeqCst) as usize * 100 / outcome.calls;
    assert!(share < 20, "{share} % went to the slow one; a third would be chance");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goodbyes_at_every_age_lose_no_call() {
    let keys = Keys::new();
    let limits = Limits { age: millis(40), ..Limits::default() };
    let replicas = replicas(3, millis(3), &keys, limits).await;
    let channel = connect(&keys, addresses(&replicas));
    load(&channel, "Once", 200).await.expect("no panic").is_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_killed_in_the_middle_of_calls_loses_none_that_may_be_repeated() {
    let keys = Keys::new();
    let mut replicas = replicas(3, millis(20), &keys, Limits::default()).await;
    let channel = connect(&keys, addresses(&replicas));
    say(&channel, "Public", "").await.expect("answered");
    let under_load = load(&channel, "Public", 50);
    for _ in 0..2 {
        sleep(millis(200)).await;
        replicas.remove(0).kill().await;
    }
    under_load.await.expect("no panic").is_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_answers_nothing_any_more_loses_no_call_that_may_be_repeated() {
    let keys = Keys::new();
    let replicas = replicas(3, millis(5), &keys, Limits::default()).await;
    let proxy = Proxy::to(replicas[0].address).await;
    let all = vec![proxy.address, replicas[1].address, replicas[2].address];
    let channel = connect(&keys, all);
    load(&channel, "Public", 10).await.expect("no panic").is_whole();
    let under_load = load(&channel, "Public", 100);
    sleep(millis(100)).await;
    proxy.freeze();
    under_load.await.expect("no panic").is_whole();
    // What must not be repeated waits for its deadline, and no longer.
    let outcome = load(&channel, "Once", 5).await.expect("no panic");
    outcome.is_in_time();
    assert!(outcome.lost.iter().all(|status| status.code() == Code::DeadlineExceeded), "{:?}", outcome.lost);
}

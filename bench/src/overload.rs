//! Ten times what a server can do, over a socket: how much of what it can do it still does, how much memory that takes, and how soon it is over.

use std::{error::Error, fs, sync::Arc, time::Duration};

use ::mesh::{Channel, ChannelOptions, Clock, PeerIdentity, Random, Shutdown, Tracer, bind, token};
use clap::Args;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    aims::{Aim, Aims},
    mesh::{
        load::Caller,
        service::{CALLEE, CALLER, authorization, key, router},
    },
    println,
};

/// How the server is overloaded.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// For how long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// What the server can do: so many calls at a time, each for so long.
const AT_A_TIME: usize = 4;
const EACH: Duration = Duration::from_millis(10);
const CAPACITY: u32 = 400;
/// What all that is offered and refused may take beside what the server can do, in MiB: both ends, a thousand calls at a time, and what the allocator keeps.
const MEMORY: f64 = 64.0;

/// Offers what it can do, ten times that, and half of it; fails if goodput falls by more than a tenth, or does not come back, or if memory grows.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let channel = serve().await?;
    channel.call().await?;
    println(&format!("{:<24}{:>12}{:>12}{:>12}{:>12}", "", "offered/s", "answered/s", "refused/s", "RSS MiB"));
    let (peak, idle) = offer("what it can do", &channel, CAPACITY, 10).await?;
    let (under, busy) = offer("ten times that", &channel, 10 * CAPACITY, arguments.seconds).await?;
    // Of what it has taken on, as much is left as is done in half a deadline.
    offer("the second after", &channel, CAPACITY / 2, 1).await?;
    let (after, _) = offer("half of it", &channel, CAPACITY / 2, 5).await?;
    let mut aims = Aims::default();
    aims.judge("goodput under overload, beside the peak", under / peak, Aim::AtLeast(0.9));
    aims.judge("goodput after it, beside what is offered", after / f64::from(CAPACITY / 2), Aim::AtLeast(0.99));
    aims.judge("memory under overload, MiB more", busy - idle, Aim::AtMost(MEMORY));
    Ok(aims.conclude()?)
}

async fn serve() -> Result<Caller, Box<dyn Error>> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let work = move || {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await;
            sleep(EACH).await;
        }
    };
    let listener = bind("127.0.0.1:0").await?;
    let uri = format!("http://{}", listener.local_addr()?);
    tokio::spawn(router(work, Tracer::off())?.serve(listener, Shutdown::manual()));
    let identity = PeerIdentity::new(CALLER, key().signer(token::Kind::Peer), Clock::system(), Random::system());
    Ok(Caller::Mesh(Channel::connect(CALLEE, &uri, identity, ChannelOptions::default()), authorization()?))
}

/// Offers so many calls a second, whatever becomes of them, and returns how many a second were answered, and the memory it took, in MiB.
async fn offer(name: &str, caller: &Caller, a_second: u32, seconds: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    let [mut answered, mut refused] = [0.0, 0.0];
    let mut count = |outcome: Result<bool, _>| -> Result<(), tokio::task::JoinError> {
        *(if outcome? { &mut answered } else { &mut refused }) += 1.0 / f64::from(seconds);
        Ok(())
    };
    for n in 0..a_second * seconds {
        sleep_until(began + Duration::from_secs(1) * n / a_second).await;
        let caller = caller.clone();
        calls.spawn(async move { caller.call().await.is_ok() });
        while let Some(outcome) = calls.try_join_next() {
            count(outcome)?;
        }
    }
    let memory = resident()?;
    while let Some(outcome) = calls.join_next().await {
        count(outcome)?;
    }
    println(&format!("{name:<24}{a_second:>12}{answered:>12.0}{refused:>12.0}{memory:>12.1}"));
    Ok((answered, memory))
}

/// The memory of this process, both ends of all calls, in MiB.
fn resident() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

//! A host with one of the services, as its own program would run it: on a database of its own, with the others at the other end of a wire.

use std::{
    any::Any,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use mesh::{
    Channel, ChannelOptions, Clock, Network, PeerIdentity, Random, Router, Shutdown, Stack, Tracer,
    token::{Expected, Kind, MeshKey, Verifier},
};
use onebox::{Config, Part};
use turmoil::net::{TcpListener, TcpStream};

use crate::START;

const PORT: u16 = 80;

/// Where a service runs, crash after crash.
#[derive(Clone)]
pub(crate) struct Place {
    part: Part,
    seed: u64,
    data: PathBuf,
    lives: Arc<AtomicU64>,
}

/// A service once more, with the time and the chance of this life.
struct Life {
    config: Config,
    clock: Clock,
    random: Random,
    key: MeshKey,
    name: &'static str,
}

impl Place {
    pub(crate) fn new(part: Part, seed: u64, data: &Path) -> Self {
        Self { part, seed, data: data.to_owned(), lives: Arc::default() }
    }

    /// Serves until the host crashes.
    pub(crate) async fn run(self) -> turmoil::Result {
        let life = self.lives.fetch_add(1, SeqCst);
        let seed = (self.seed << 32) + (life << 8) + self.part as u64;
        let life = Life::new(self.part.name(), seed, &self.data)?;
        let (router, _service) = life.build(self.part).await?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        tracing::info!(target: "simulation", service = life.name, "serves");
        loop {
            let (stream, from) = listener.accept().await?;
            let router = router.clone();
            tokio::spawn(async move { router.serve_stream(stream, from.ip()).await });
        }
    }
}

impl Life {
    fn new(name: &'static str, seed: u64, data: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let mut config = Config::embedded(data)?;
        // What is shown here does not depend on the cost.
        config.sso.passwords.cost = 4;
        config.sms.carrier = sms::CarrierConfig::Development { console: false };
        let key = MeshKey::new([7; 32], &config.sso.tokens.deployment);
        Ok(Self { config, clock: clock(), random: Random::seeded(seed), key, name })
    }

    /// The service, and what keeps it alive.
    async fn build(&self, part: Part) -> Result<(Router, Box<dyn Any>), Box<dyn std::error::Error>> {
        let (config, shutdown) = (&self.config, Shutdown::manual());
        let (clock, keyring, tracer) = (self.clock.clone(), self.key.keyring(), Tracer::off());
        Ok(match part {
            Part::Sso => {
                let deps = sso::Deps {
                    clock,
                    random: self.random.clone(),
                    master_key: sso::MasterKey::new([9; 32]),
                    keyring,
                    sms: self.channel("sms"),
                    social: self.channel("social"),
                    blog: self.channel("blog"),
                    inline: true,
                    faults: Default::default(),
                    shutdown,
                    tracer,
                };
                let service = Box::pin(sso::build(config.sso.clone(), deps)).await?;
                (service.router(), Box::new(service))
            }
            Part::Sms => {
                let tokens = &config.sso.tokens;
                let verifier = Verifier::new(
                    keyring,
                    Expected { deployment: &tokens.deployment, audience: &tokens.audience, issuer: &tokens.issuer },
                    clock.clone(),
                );
                let stack = Stack {
                    verifier: Arc::new(verifier),
                    limits: config.sms.server,
                    tracer,
                    random: self.random.clone(),
                };
                let (random, master_key) = (self.random.clone(), [9; 32]);
                let deps = sms::Deps {
                    clock,
                    random,
                    master_key,
                    stack,
                    carrier: None,
                    inline: true,
                    faults: Default::default(),
                    shutdown,
                };
                let service = Box::pin(sms::build(config.sms.clone(), deps)).await?;
                (service.router(), Box::new(service))
            }
            Part::Social | Part::Blog => {
                let deps = roster::Deps {
                    clock,
                    random: self.random.clone(),
                    keyring,
                    sso: self.channel("sso"),
                    inline: true,
                    faults: Default::default(),
                    shutdown,
                    tracer,
                };
                let service = match part {
                    Part::Social => Box::pin(social::build(config.social.clone(), deps)).await?,
                    _ => Box::pin(blog::build(config.blog.clone(), deps)).await?,
                };
                (service.router(), Box::new(service))
            }
        })
    }

    fn channel(&self, callee: &'static str) -> Channel {
        connect(callee, self.name, &self.key, &self.clock, &self.random)
    }
}

/// The time of day on this host: the same on all, crash or not.
pub(crate) fn clock() -> Clock {
    Clock::simulated(SystemTime::UNIX_EPOCH + START + turmoil::sim_elapsed().unwrap_or_default())
}

/// A way to `callee` over the simulated network.
pub(crate) fn connect(
    callee: &'static str,
    caller: &'static str,
    key: &MeshKey,
    clock: &Clock,
    random: &Random,
) -> Channel {
    let network = Network::of(
        |host: String, port| async move { io::Result::Ok(vec![SocketAddr::new(turmoil::lookup(host), port)]) },
        TcpStream::connect,
    );
    // A link that broke says nothing, here as elsewhere: PINGs find it out.
    let keepalive = (Duration::from_secs(2), Duration::from_secs(1));
    let options = ChannelOptions { network, keepalive, random: random.clone(), ..ChannelOptions::default() };
    let identity = PeerIdentity::new(caller, key.signer(Kind::Peer), clock.clone(), random.clone());
    Channel::connect(callee, &format!("http://{callee}:{PORT}"), identity, options)
}

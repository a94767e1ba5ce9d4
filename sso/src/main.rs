//! SSO as a process of its own.

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use mesh::{
    Channel, ChannelOptions, Clock, PeerIdentity, Random, Shutdown, keyfile, telemetry,
    telemetry::LogConfig,
    token::{Kind, MeshKey},
};
use sso::{Config, Deps, MasterKey, NAME};

/// SSO, a service of Plaza: accounts, sign-up and sign-in.
#[derive(Debug, Parser)]
struct Arguments {
    /// A TOML file that overrides the defaults; PLAZA_SSO__… in the environment overrides both.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What fails first may be the configuration of the log itself.
            telemetry::init(&LogConfig::default());
            tracing::error!(error = error.as_ref(), "SSO does not run");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config::load(arguments.config.as_deref())?;
    telemetry::init(&config.log);
    let (clock, random) = (Clock::system(), Random::system());
    let shutdown = Shutdown::on_signals()?;
    let keys = &config.keys;
    let master_key = MasterKey::new(keyfile::load_or_create(&keys.master_file, &random)?);
    let key = MeshKey::load_or_create(&keys.mesh_file, &config.tokens.deployment, &random)?;
    let identity = PeerIdentity::new(NAME, key.signer(Kind::Peer), clock.clone(), random.clone());
    let channel = |callee, uri| Channel::connect(callee, uri, identity.clone(), ChannelOptions::default());
    let sms = channel("sms", &config.peers.sms);
    let social = channel("social", &config.peers.social);
    let blog = channel("blog", &config.peers.blog);

    // Taken first, so that two processes never migrate one database to find out that one of them must go.
    let listener = mesh::bind(&config.listen.to_string()).await?;
    tracing::info!(address = %listener.local_addr()?, "SSO listens");
    let deps = Deps {
        clock,
        random,
        master_key,
        keyring: key.keyring(),
        sms,
        social,
        blog,
        inline: false,
        shutdown: shutdown.clone(),
    };
    let service = sso::build(config, deps).await?;
    service.router().serve(listener, shutdown).await?;
    service.close().await;
    Ok(())
}

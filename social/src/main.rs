//! Social as a process of its own.

use std::{error::Error, fs, io, path::PathBuf, process::ExitCode};

use clap::Parser;
use mesh::{
    Channel, ChannelOptions, Clock, PeerIdentity, Random, Shutdown, keyfile,
    telemetry::{self, LogConfig},
    token::{Kind, MeshKey},
};
use social::{Config, Deps, NAME};

/// Social, a service of Plaza: profiles.
#[derive(Debug, Parser)]
struct Arguments {
    /// A TOML file that overrides the defaults; PLAZA_SOCIAL__… in the environment overrides both.
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
            tracing::error!(error = error.as_ref(), "Social does not run");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config::load(arguments.config.as_deref())?;
    telemetry::init(&config.log);
    let (clock, random) = (Clock::system(), Random::system());
    let shutdown = Shutdown::on_signals()?;
    let key = mesh_key(&config, &random)?;
    let identity = PeerIdentity::new(NAME, key.signer(Kind::Peer), clock.clone(), random);
    let sso = Channel::connect("sso", &config.peers.sso, identity, ChannelOptions::default());

    // Taken first, so that two processes never migrate one database to find out that one of them must go.
    let listener = mesh::bind(&config.listen.to_string()).await?;
    let deps = Deps { clock, keyring: key.keyring(), sso, inline: false, shutdown: shutdown.clone() };
    let service = social::build(config, deps).await?;
    service.router().serve(listener, shutdown).await?;
    service.close().await;
    Ok(())
}

/// The mesh key of this deployment, made if the settings say so.
fn mesh_key(config: &Config, random: &Random) -> io::Result<MeshKey> {
    let path = &config.keys.mesh_file;
    let secret = if config.keys.create {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        keyfile::load_or_create(path, random)?
    } else {
        keyfile::load(path)?
    };
    Ok(MeshKey::new(secret, &config.tokens.deployment))
}

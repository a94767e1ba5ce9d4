//! SMS as a program of its own: `sms [configuration.toml]`.

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode, sync::Arc};

use mesh::{
    Clock, Random, Shutdown, Stack, server,
    token::{MeshKey, Verifier},
};
use sms::{Config, Deps, config};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a program that cannot start")]
            {
                eprintln!("sms: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let file = env::args_os().nth(1).map(PathBuf::from);
    let config: Config = mesh::config::load("sms", config::DEFAULT, file.as_deref())?;
    mesh::telemetry::init(&config.log);
    let shutdown = Shutdown::on_signals()?;
    let listener = server::bind(&config.listen).await?;

    let (clock, random) = (Clock::system(), Random::system());
    let deps = Deps {
        master_key: sms::load_master_key(&config.keys, &random)?,
        stack: stack(&config.mesh, &clock, &random)?,
        clock,
        random,
        carrier: None,
        inline: false,
        shutdown: shutdown.clone(),
    };
    let service = sms::build(config, deps).await?;
    service.router().serve(listener, shutdown).await?;
    Ok(())
}

fn stack(config: &config::MeshConfig, clock: &Clock, random: &Random) -> Result<Stack, Box<dyn Error>> {
    if let Some(folder) = config.key_file.parent() {
        fs::create_dir_all(folder)?;
    }
    let key = MeshKey::load_or_create(&config.key_file, &config.deployment, random)?;
    let verifier = Verifier::new(key.keyring(), &config.deployment, "plaza", "sso", clock.clone());
    Ok(Stack { verifier: Arc::new(verifier), limits: server::Limits::default() })
}

//! Blog as a process of its own.

use std::{error::Error, path::PathBuf, process::ExitCode};

use blog::{Config, Deps, NAME};
use mesh::{
    Threads,
    process::{self, Process, Settings},
};

fn main() -> ExitCode {
    process::run(serve)
}

async fn serve(file: Option<PathBuf>, threads: Threads) -> Result<(), Box<dyn Error>> {
    let config = Config::load(file.as_deref())?;
    let settings = Settings {
        log: &config.log,
        telemetry: &config.telemetry,
        listen: config.listen.to_string(),
        admin: &config.admin,
        web: &config.web,
        tls: &config.tls,
        mesh_file: &config.keys.mesh_file,
        create: config.keys.create,
        deployment: &config.tokens.deployment,
        threads,
    };
    let process = Process::start(NAME, settings).await?;
    let deps = Deps {
        clock: process.clock.clone(),
        keyring: process.mesh_key.keyring(),
        sso: process.connect("sso", &config.peers.sso)?,
        inline: false,
        tracer: process.tracer.clone(),
        shutdown: process.shutdown.clone(),
    };
    // It waits for its database.
    let Some(service) = process.shutdown.unless_begun(blog::build(config, deps)).await else { return Ok(()) };
    let service = service?;
    process.serve(service.router()).await?;
    service.close().await;
    Ok(())
}

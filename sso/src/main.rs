//! SSO as a process of its own.

use std::{error::Error, path::PathBuf, process::ExitCode};

use mesh::{
    Threads,
    process::{self, Process, Settings},
};
use sso::{Config, Deps, MasterKey, NAME};

fn main() -> ExitCode {
    process::run(NAME, env!("CARGO_PKG_VERSION"), serve)
}

async fn serve(file: Option<PathBuf>, threads: Threads) -> Result<(), Box<dyn Error>> {
    let config = Config::load(file.as_deref())?;
    let keys = &config.keys;
    let settings = Settings {
        log: &config.log,
        telemetry: &config.telemetry,
        listen: config.listen.to_string(),
        admin: &config.admin,
        web: &config.web,
        tls: &config.tls,
        mesh_file: &keys.mesh_file,
        create: keys.create,
        deployment: &config.tokens.deployment,
        threads,
    };
    let process = Process::start(NAME, settings).await?;
    let deps = Deps {
        clock: process.clock.clone(),
        random: process.random.clone(),
        master_key: MasterKey::new(process.secret(&keys.master_file, keys.create)?),
        keyring: process.keyring(),
        sms: process.connect("sms", &config.peers.sms)?,
        social: process.connect("social", &config.peers.social)?,
        blog: process.connect("blog", &config.peers.blog)?,
        inline: false,
        faults: sso::StoreFaults::default(),
        tracer: process.tracer.clone(),
        shutdown: process.shutdown.clone(),
    };
    // It waits for its database.
    let Some(service) = process.shutdown.unless_begun(sso::build(config, deps)).await else { return Ok(()) };
    let service = service?;
    process.serve(service.router(), service.close()).await?;
    Ok(())
}

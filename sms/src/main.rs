//! SMS as a process of its own.

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc};

use mesh::{
    Stack, Threads, WebConfig,
    process::{self, Process, Settings},
    token::{Expected, Verifier},
};
use sms::{Config, Deps, NAME};

fn main() -> ExitCode {
    process::run(NAME, env!("CARGO_PKG_VERSION"), serve)
}

async fn serve(file: Option<PathBuf>, threads: Threads) -> Result<(), Box<dyn Error>> {
    let config = Config::load(file.as_deref())?;
    let settings = Settings {
        log: &config.log,
        telemetry: &config.telemetry,
        listen: config.listen.to_string(),
        admin: &config.admin,
        // It has nothing for persons.
        web: &WebConfig::default(),
        tls: &config.tls,
        mesh_file: &config.keys.mesh_file,
        create: config.keys.create,
        deployment: &config.tokens.deployment,
        threads,
    };
    let process = Process::start(NAME, settings).await?;
    let deps = Deps {
        clock: process.clock.clone(),
        random: process.random.clone(),
        master_key: process.secret(&config.keys.master_file, config.keys.create)?,
        stack: stack(&config, &process),
        carrier: None,
        inline: false,
        faults: db::Faults::default(),
        shutdown: process.shutdown.clone(),
    };
    // It waits for its database.
    let Some(service) = process.shutdown.unless_begun(sms::build(config, deps)).await else { return Ok(()) };
    let service = service?;
    process.serve(service.router(), service.close()).await?;
    Ok(())
}

/// No method of SMS is for persons, so that nobody's access token is believed here: only what the mesh key signs.
fn stack(config: &Config, process: &Process) -> Stack {
    let keyring = process.keyring();
    let verifier = Verifier::new(
        keyring,
        Expected { deployment: &config.tokens.deployment, audience: "plaza", issuer: "plaza" },
        process.clock.clone(),
    );
    Stack {
        verifier: Arc::new(verifier),
        limits: config.server,
        tracer: process.tracer.clone(),
        random: process.random.clone(),
    }
}

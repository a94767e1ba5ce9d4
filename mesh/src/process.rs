//! A service as a process of its own: arguments, settings, log, signals, keys and port, the same for each.

use std::{
    error::Error,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::{
    admin::{Admin, AdminConfig},
    channel::{Channel, ChannelOptions, PeerIdentity},
    clock::{Clock, Random},
    files, keyfile,
    log::{self, LogConfig},
    metrics::ClientMetrics,
    server::{self, Port, Router},
    shutdown::{self, Shutdown},
    stderr,
    telemetry::{Telemetry, TelemetryConfig},
    threads::{self, Threads},
    tls::{Tls, TlsConfig, TlsError},
    token::{Keyring, Kind, MeshKey},
    trace::Tracer,
    web::{Web, WebConfig},
};

#[derive(Debug, Parser)]
struct Arguments {
    /// A TOML file that overrides the defaults key by key; the environment, PLAZA_<SERVICE>__…, overrides both.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What a process has before its service is built.
#[derive(Debug)]
pub struct Process {
    /// The clock of the system.
    pub clock: Clock,
    /// The randomness of the system.
    pub random: Random,
    /// Thrown by SIGINT and SIGTERM.
    pub shutdown: Shutdown,
    /// What the admin port tells.
    pub admin: Admin,
    /// Makes the spans of the service.
    pub tracer: Tracer,
    mesh_key: Option<MeshKey>,
    telemetry: Telemetry,
    metrics: ClientMetrics,
    name: &'static str,
    port: Port,
    web: Option<Web>,
    tls_config: TlsConfig,
}

/// The settings that each process needs.
#[derive(Debug)]
pub struct Settings<'a> {
    /// How to log.
    pub log: &'a LogConfig,
    /// Where spans and metrics go.
    pub telemetry: &'a TelemetryConfig,
    /// Where to listen, as `host:port`.
    pub listen: String,
    /// The admin port.
    pub admin: &'a AdminConfig,
    /// The port for browsers.
    pub web: &'a WebConfig,
    /// How to prove itself and believe others.
    pub tls: &'a TlsConfig,
    /// The file of the mesh key; empty for a service that needs none, since certificates tell who calls.
    pub mesh_file: &'a Path,
    /// Whether to make a key file that is missing.
    pub create: bool,
    /// The name of the deployment.
    pub deployment: &'a str,
    /// Who serves.
    pub threads: Threads,
}

/// Reads the arguments of the program `name` and runs its service until it ends. What goes wrong is logged with its causes; the exit code says so too.
pub fn run<F>(
    name: &'static str,
    version: &'static str,
    service: impl FnOnce(Option<PathBuf>, Threads) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), Box<dyn Error>>>,
{
    let command = Arguments::command().name(name).version(version).about(format!("The service {name} of Plaza"));
    let Arguments { config } = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = threads::run(|threads| Box::pin(service(config, threads)));
    let code = match outcome.map_err(Into::into).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What fails first may be the configuration of the log itself.
            log::init(&LogConfig::default(), false);
            tracing::error!(error = error.as_ref(), "the service does not run");
            ExitCode::FAILURE
        }
    };
    stderr::flush();
    code
}

impl Process {
    /// Begins to log and to heed signals, reads the mesh key, if there is one, and takes the port: first of all, so that two processes never migrate one database to
    /// find out that one of them must go.
    ///
    /// # Errors
    /// Certificates that do not hold, a listener in plain text that other machines can reach, a port that is taken, a key that cannot be read; the
    /// text names it.
    pub async fn start(name: &'static str, settings: Settings<'_>) -> Result<Self, Box<dyn Error>> {
        let (clock, random) = (Clock::system(), Random::system());
        let spans = Telemetry::start(settings.telemetry, clock.clone(), random.clone())?;
        log::init(settings.log, spans.is_on());
        let shutdown = Shutdown::on_signals()?;
        let tls = Tls::load(name, settings.tls, &clock)?;
        let listener = server::bind(&settings.listen).await?;
        match &tls {
            Some(tls) => tls.watch(shutdown.clone()),
            None => settings.tls.allows_plain_listener(listener.local_addr()?)?,
        }
        let port = Port { listener, tls, threads: settings.threads.clone() };
        let web = Web::take(settings.web, settings.tls, settings.threads.clone()).await?;
        let (admin, metrics) = (Admin::new(shutdown.clone()), ClientMetrics::new());
        admin.add_client(name, metrics.clone());
        spans.describe(&admin);
        spans.push(name, &admin)?;
        admin.listen(settings.admin).await?;
        let mesh_key = mesh_key(&settings, port.tls.is_some(), &random)?;
        let tls_config = settings.tls.clone();
        let tracer = spans.tracer(name);
        Ok(Self {
            clock,
            random,
            shutdown,
            mesh_key,
            admin,
            tracer,
            telemetry: spans,
            metrics,
            name,
            port,
            web,
            tls_config,
        })
    }

    /// The 32 bytes in a key file, which is made, with its folder, if it is missing and `create` says so.
    ///
    /// # Errors
    /// If it cannot be read or made, or others than its owner may read it.
    pub fn secret(&self, path: &Path, create: bool) -> io::Result<[u8; 32]> {
        secret(path, create, &self.random)
    }

    /// The keys of the peers and operators that the mesh key makes; none without one.
    pub fn keyring(&self) -> Keyring {
        self.mesh_key.as_ref().map_or_else(Keyring::new, MeshKey::keyring)
    }

    /// A way to another service.
    ///
    /// # Errors
    /// If calls would go out in plain text where others could read them, or without anything that tells whose they are; or if `https` is asked for
    /// without a certificate.
    pub fn connect(&self, callee: &'static str, uri: &str) -> Result<Channel, TlsError> {
        self.tls_config.allows_callee(callee, uri, self.port.tls.is_some())?;
        let signer = self.mesh_key.as_ref().map(|key| key.signer(Kind::Peer));
        if signer.is_none() && !uri.starts_with("https:") {
            return Err(TlsError::Unsigned { callee, uri: uri.to_owned() });
        }
        let (metrics, tls, tracer) = (self.metrics.clone(), self.port.tls.clone(), self.tracer.clone());
        let options = ChannelOptions { metrics, tls, tracer, ..ChannelOptions::default() };
        let identity = PeerIdentity::new(self.name, signer, self.clock.clone(), self.random.clone());
        Ok(Channel::connect(callee, uri, identity, options))
    }

    /// Serves until a signal, and then until the calls under way have ended or the drain bound has passed; then sends the spans that wait
    /// and the last metrics, and runs `close`, which closes what the service has open, for 5 s at most.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn serve(self, router: Router, close: impl Future<Output = ()>) -> io::Result<()> {
        self.admin.add(router.clone());
        let listeners = if self.web.is_some() { 2 } else { 1 };
        files::warn_below(listeners * u64::from(router.limits().connections));
        let for_browsers = async {
            if let Some(web) = self.web {
                web.serve(vec![router.clone()], self.shutdown.clone()).await;
            }
        };
        let served = router.clone().serve(self.port, self.shutdown.clone());
        let ((), served) = tokio::join!(for_browsers, served);
        self.telemetry.flush().await;
        shutdown::bounded(close).await;
        served
    }
}

/// The key in the file that is named. A service in plain text needs one: nothing else tells which peer calls.
fn mesh_key(settings: &Settings<'_>, tls: bool, random: &Random) -> Result<Option<MeshKey>, Box<dyn Error>> {
    if settings.mesh_file.as_os_str().is_empty() {
        return if tls {
            Ok(None)
        } else {
            Err("keys.mesh_file is empty, and so is tls.certificate: one of them must say which service calls".into())
        };
    }
    let secret = secret(settings.mesh_file, settings.create, random)?;
    Ok(Some(MeshKey::new(secret, settings.deployment)))
}

fn secret(path: &Path, create: bool, random: &Random) -> io::Result<[u8; 32]> {
    if !create {
        return keyfile::load(path);
    }
    if let Some(folder) = path.parent() {
        // For the owner alone, as what goes into it is.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    keyfile::load_or_create(path, random)
}

//! The program `plaza`.

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use mesh::{
    Admin, Shutdown, Telemetry, Threads, log,
    stderr::{self, Lines},
    threads,
};
use onebox::{Config, Edge, Onebox, Ports, welcome};

type Outcome = Result<(), Box<dyn Error>>;

/// Plaza: sign-up, sign-in, profiles and authors, as four gRPC services in one process.
#[derive(Debug, Parser)]
#[command(name = "plaza", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    site: Site,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where everything is.
#[derive(Debug, Args)]
struct Site {
    /// The folder of databases and keys [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A TOML file that overrides the defaults; PLAZA_ONEBOX__… and PLAZA_<SERVICE>__… in the environment override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve all four services on loopback; the same as no command
    Serve(Site),
    /// Print a token that opens the operators' calls, whether plaza is running or not
    Token {
        #[command(flatten)]
        site: Site,
        /// For whom: the name that stands in logs
        #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "operator", required = true)]
        operator: String,
        /// How long it lasts: 900s, 15m; at most 1h
        #[arg(long, value_parser = duration, default_value = "15m")]
        ttl: Duration,
        /// The operators' key to sign with, instead of the data folder's
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the public half of an operators' key, for SSO's keys.operators; make the key if there is none
    Key {
        /// The file of the key
        file: PathBuf,
    },
    /// Make a certificate authority for development, and a certificate for each service
    Certs {
        /// The folder; an authority that is there already signs new certificates
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The host of every service's SPIFFE id
        #[arg(long, value_name = "NAME", default_value = "plaza.local")]
        trust_domain: String,
    },
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        None => serve(&arguments.site),
        Some(Command::Serve(site)) => serve(&site),
        Some(Command::Token { site, operator, ttl, key }) => token(&site, key.as_deref(), &operator, ttl),
        Some(Command::Key { file }) => key(&file),
        Some(Command::Certs { out, trust_domain }) => certs(&out, &trust_domain),
        Some(Command::Version) => say(concat!("plaza ", env!("CARGO_PKG_VERSION"), "\n")).map_err(Into::into),
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    };
    stderr::flush();
    code
}

fn serve(site: &Site) -> Outcome {
    let config = Config::load(site.config.as_deref(), site.data.as_deref())?;
    threads::run(|threads| Box::pin(run(site, config, threads)))?
}

async fn run(site: &Site, config: Config, threads: Threads) -> Outcome {
    let edge = Edge::system();
    let spans = Telemetry::start(&config.telemetry, edge.clock.clone(), edge.random.clone())?;
    log::init(&config.log, spans.is_on());
    let edge = Edge { telemetry: spans, ..edge };
    let shutdown = Shutdown::on_signals()?;
    let ports = Ports::take(&config, &edge.clock, &threads).await?;
    let admin = Admin::new(shutdown.clone());
    admin.listen(&config.admin).await?;
    // It waits for its databases.
    let Some(plaza) = shutdown.unless_begun(Onebox::start(config, edge)).await else { return Ok(()) };
    let plaza = plaza?;
    plaza.describe(&admin);
    let edge = plaza.edge();
    edge.telemetry.push("plaza", &admin)?;
    let welcome = welcome::text(plaza.config(), &ports.addresses(), &token_command(site), &edge.clock, &edge.random);
    // Nobody may be reading: that is no reason not to serve.
    let _ = say(&welcome);
    plaza.serve(ports, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

fn token(site: &Site, key: Option<&Path>, operator: &str, ttl: Duration) -> Outcome {
    let config = Config::load(site.config.as_deref(), site.data.as_deref())?;
    let Edge { clock, random, .. } = Edge::system();
    let token = onebox::operator_token(&config, key, operator, ttl, &clock, &random)?;
    Ok(say(&format!("{token}\n"))?)
}

fn key(file: &Path) -> Outcome {
    let public = onebox::operators_key(file, &Edge::system().random)?;
    Ok(say(&format!("{public}\n"))?)
}

fn certs(folder: &Path, trust_domain: &str) -> Outcome {
    onebox::certs::write(folder, trust_domain, &Edge::system().clock)?;
    let folder = welcome::quoted(folder);
    Ok(say(&format!(
        "{folder} has the certificates of a development authority, good for a year. Each service runs with its own:\n\n  \
         cargo run -p sso -- --config {folder}/sso.toml\n  \
         grpcurl -cacert {folder}/{} 127.0.0.1:50051 list\n",
        onebox::certs::ROOTS
    ))?)
}

/// The command line that prints an operator's token for this very process, wherever it is pasted in this folder.
fn token_command(site: &Site) -> String {
    let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("plaza"));
    let here = env::current_dir().ok();
    let near =
        here.as_deref().and_then(|here| program.strip_prefix(here).ok()).filter(|near| near.components().count() > 1);
    let mut command = format!("{} token --operator", welcome::quoted(near.unwrap_or(&program)));
    let mut option = |name: &str, path: Option<&Path>| {
        if let Some(path) = path {
            command.push_str(&format!(" {name} {}", welcome::quoted(path)));
        }
    };
    option("--data", site.data.as_deref());
    option("--config", site.config.as_deref());
    command
}

/// A duration as people write it: `900s`, `15m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || "a number and a unit: 900s, 15m, 1h".to_owned();
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(refused)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(refused()),
    };
    let count: u32 = digits.parse().map_err(|_| refused())?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The error and its causes on one line, unless a cause says no more than what it caused.
fn complain(error: &dyn Error) {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    // If standard error is gone too, the exit code is all that is left to say.
    let _ = Lines.write_all(format!("plaza: {line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use super::{Arguments, duration};

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("900s"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "15", "m", "-1m", "1d", "•", "99999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}

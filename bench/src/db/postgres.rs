//! PostgreSQL: threads that own their sessions, beside pgbench with as many clients.

use std::{
    path::Path,
    process::{self, Command},
    time::Duration,
};

use ::db::{Db, Options};

use super::{CALLERS, Figures, Outcome, crowd, say, store};
use crate::aims::{Aim, Aims};

/// Sessions, of ours and of pgbench.
const SESSIONS: usize = 16;

pub(super) async fn run(server: &str, rounds: usize, time: Duration, aims: &mut Aims) -> Outcome {
    let name = format!("plaza_bench_{}", process::id());
    ::db::script(server, &format!("CREATE DATABASE {name}"))?;
    let (address, settings) = server.split_once('?').unwrap_or((server, ""));
    let base = address.rsplit_once('/').map_or(address, |(base, _)| base);
    let measured = measure(&format!("{base}/{name}?{settings}"), rounds, time).await;
    ::db::script(server, &format!("DROP DATABASE {name} WITH (FORCE)"))?;
    report(&measured?, aims)
}

async fn measure(url: &str, rounds: usize, time: Duration) -> Outcome<Figures> {
    let mut options = Options::new(url);
    (options.threads, options.patience) = (SESSIONS, Duration::from_secs(60));
    let db = Db::open(options, store::MIGRATIONS).await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("sign_up.sql");
    std::fs::write(&script, store::SIGN_UP)?;
    let mut figures = Figures::default();
    for _ in 0..rounds {
        figures.note("pgbench", pgbench(url, &script, time)?);
        let rate = crowd(&db, time, store::sign_up).await?;
        figures.note("ours", rate.per_second);
        figures.note("p99", rate.p99);
    }
    db.close().await;
    Ok(figures)
}

/// Transactions a second.
fn pgbench(url: &str, script: &Path, time: Duration) -> Outcome<f64> {
    let (clients, seconds) = (SESSIONS.to_string(), time.as_secs().to_string());
    let said = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--client", &clients, "--time", &seconds, "--file"])
        .arg(script)
        .arg(url)
        .output()?;
    let text = String::from_utf8_lossy(&said.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("pgbench did not measure: {text}{}", String::from_utf8_lossy(&said.stderr)).into())
}

fn report(figures: &Figures, aims: &mut Aims) -> Outcome {
    say(&format!("\nPostgreSQL, a sign-up transaction of three rows; {SESSIONS} sessions each; medians"))?;
    say(&format!("  {:<40} {:>9.0} transactions/s", "pgbench -M prepared", figures.of("pgbench")))?;
    say(&format!("  {:<40} {:>9.0} transactions/s", format!("ours, {CALLERS} callers"), figures.of("ours")))?;
    say(&format!("  {:<40} {:>9.1} ms\n", "ours, p99", figures.of("p99")))?;
    aims.judge("transactions/s beside pgbench", figures.of("ours") / figures.of("pgbench"), Aim::AtLeast(0.6));
    Ok(())
}

//! What the storage costs beside its floor: SQLite beside its C API, PostgreSQL beside pgbench, with the same statements, on the same disk, in
//! turns. The aims beside the ratios are the project's own.

mod floor;
mod postgres;
mod reads;
mod sqlite;
mod store;

use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, Write as _},
    time::Duration,
};

use ::db::{At, Conn, Db, Id};
use ::mesh::Random;
use clap::Args;
use tokio::{task::JoinSet, time::Instant};

use crate::aims::Aims;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often each is measured; of each figure the median is shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// A database of a PostgreSQL where another may be made for the run; without it, SQLite alone is measured
    #[arg(long)]
    postgres: Option<String>,
}

/// How many calls are under way where it says "64 callers".
const CALLERS: usize = 64;

/// Figures by name, one a round.
#[derive(Default)]
struct Figures(BTreeMap<&'static str, Vec<f64>>);

impl Figures {
    fn note(&mut self, name: &'static str, figure: f64) {
        self.0.entry(name).or_default().push(figure);
    }

    /// The median over the rounds.
    fn of(&self, name: &str) -> f64 {
        let mut figures = self.0.get(name).cloned().unwrap_or_default();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Measures, and prints tables. Fails if an aim is missed.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { rounds, seconds, postgres } = arguments;
    let (rounds, time, mut aims) = (rounds.max(1), Duration::from_secs(seconds.max(1)), Aims::default());
    sqlite::run(rounds, time, &mut aims).await.map_err(|error| error.to_string())?;
    match postgres {
        Some(server) => postgres::run(&server, rounds, time, &mut aims).await.map_err(|error| error.to_string())?,
        None => say("\nPostgreSQL was not measured: name a server with --postgres")?,
    }
    Ok(aims.conclude()?)
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// What many callers came to in some time.
struct Rate {
    per_second: f64,
    /// In milliseconds.
    p99: f64,
}

/// [`CALLERS`] callers, each with one transaction after the other.
async fn crowd(db: &Db, time: Duration, write: fn(&mut Conn, Id, At) -> diesel::QueryResult<usize>) -> Outcome<Rate> {
    let (random, began) = (Random::system(), Instant::now());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (db, random) = (db.clone(), random.clone());
        callers.spawn(async move {
            let mut took = Vec::new();
            while began.elapsed() < time {
                let (id, start) = (fresh(&random), Instant::now());
                db.write("bench", move |c| Ok::<_, ::db::Error>(write(c, id, AT)?)).await?;
                took.push(start.elapsed());
            }
            Ok::<_, ::db::Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = callers.join_next().await {
        took.extend(ended??);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Rate { per_second: took.len() as f64 / seconds, p99: p99(took) })
}

/// In milliseconds.
fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
}

/// Any moment.
const AT: At = At(1_900_000_000_000_000);

fn fresh(random: &Random) -> Id {
    Id::from(uuid::Uuid::from_bytes(random.bytes()))
}

//! What a lone point read costs, behind a hop to another thread and back.
//!
//! On several CPUs that hop is mostly the time in which a sleeping one wakes, which depends on what ran before and on where the kernel puts the thread: it
//! came to 10 us and to 70, for either side, and hid what the read costs. So what is judged is measured on one CPU, where every thread of either side takes
//! its turn and all of its work is in the figure.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use ::db::{Error, Id};
use ::mesh::Random;
use tokio::{runtime::Builder, time::Instant};

use super::{
    Figures, Outcome,
    sqlite::{Sides, each},
    store,
};

/// Reads of one measurement.
const BATCH: usize = 5_000;
pub(super) const ON_ONE_CPU: [&str; 3] =
    ["floor, read on one CPU", "floor behind a hop, read on one CPU", "ours, read on one CPU"];
pub(super) const FREE: [&str; 3] =
    ["floor, read on all CPUs", "floor behind a hop, read on all CPUs", "ours, read on all CPUs"];

/// Where the kernel likes.
pub(super) async fn free(sides: &Sides, people: &[Id], random: &Random, figures: &mut Figures) -> Outcome {
    measure(sides, people, random, FREE, figures).await
}

/// On one CPU, with databases of its own in `folder`: threads stay where the one is that starts them.
pub(super) async fn on_one_cpu(rounds: usize, folder: &Path, people: Vec<Id>) -> Outcome<Figures> {
    let (folder, random) = (folder.to_owned(), Random::system());
    let alone = thread::spawn(move || {
        stay()?;
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let (sides, mut figures) = (Sides::open(&folder, &people).await?, Figures::default());
            for _ in 0..rounds {
                measure(&sides, &people, &random, ON_ONE_CPU, &mut figures).await?;
            }
            sides.close().await;
            Ok(figures)
        })
    });
    tokio::task::spawn_blocking(|| alone.join()).await?.map_err(|_| "a measurement panicked")?
}

/// Keeps the calling thread, and those it starts, on the first CPU it may run on.
fn stay() -> Outcome {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (thread, cpus) = field("Pid:").zip(field("Cpus_allowed_list:")).ok_or("the kernel does not say which CPUs")?;
    let first = cpus.split(['-', ',']).next().unwrap_or(cpus);
    let said = Command::new("taskset").args(["--pid", "--cpu-list", first, thread]).output()?;
    if said.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said.stderr).into()) }
}

/// Microseconds a read, each in a transaction of its own, and in turns: the floor, the floor behind a hop, ours.
async fn measure(
    sides: &Sides,
    people: &[Id],
    random: &Random,
    names: [&'static str; 3],
    figures: &mut Figures,
) -> Outcome {
    let mut took = [Duration::ZERO; 3];
    for _ in 0..BATCH {
        let id = people[u32::from_le_bytes(random.bytes()) as usize % people.len()];
        let began = Instant::now();
        sides.reader.find(id.0.as_bytes())?;
        took[0] += began.elapsed();
        let began = Instant::now();
        sides.away_reader.run(move |floor| floor.find(id.0.as_bytes()).map(drop)).await?;
        took[1] += began.elapsed();
        let began = Instant::now();
        sides.db.read("find", move |c| Ok::<_, Error>(store::find(c, id)?)).await?;
        took[2] += began.elapsed();
    }
    names.into_iter().zip(took).for_each(|(name, took)| figures.note(name, each(took, BATCH)));
    Ok(())
}

//! SQLite: one writer that groups commits, beside one connection of the C API.

use std::{path::Path, time::Duration};

use ::db::{Db, Error, Id, Options};
use ::mesh::Random;
use tokio::time::Instant;

use super::{AT, Aim, CALLERS, Figures, Outcome, crowd, floor::Floor, fresh, judge, say, store};

/// Rows that are there to be read.
const PEOPLE: usize = 100_000;
/// Reads or inserts of one measurement of their cost, all in one transaction.
const BATCH: usize = 5_000;

pub(super) async fn run(rounds: usize, time: Duration) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (folder.path().join("ours.db"), folder.path().join("floor.db"));
    let random = Random::system();
    let ids: Vec<Id> = (0..PEOPLE).map(|_| fresh(&random)).collect();
    // Made by the same migrations, filled with the same people.
    open(&theirs).await?.close().await;
    let (db, floor) = (open(&ours).await?, Floor::open(&theirs)?);
    let people = ids.clone();
    db.write("fill", move |c| {
        people.iter().try_for_each(|id| store::insert(c, *id, AT).map(drop)).map_err(Error::from)
    })
    .await?;
    transaction(&floor, || ids.iter().try_for_each(|id| floor.insert(id.0.as_bytes(), AT.0)))?;
    let mut figures = Figures::default();
    for _ in 0..rounds {
        floor_writes(&floor, time, &random, &mut figures)?;
        let rate = crowd(&db, time, store::insert).await?;
        figures.note("ours, a second", rate.per_second);
        figures.note("p99", rate.p99);
        floor_costs(&floor, &ids, &random, &mut figures)?;
        our_costs(&db, &ids, &random, &mut figures).await?;
    }
    db.close().await;
    report(&figures)
}

async fn open(path: &Path) -> Outcome<Db> {
    let mut options = Options::new(format!("sqlite:{}", path.display()));
    options.patience = Duration::from_secs(60);
    Ok(Db::open(options, store::MIGRATIONS).await?)
}

fn transaction(floor: &Floor, work: impl FnOnce() -> Outcome) -> Outcome {
    floor.run("BEGIN IMMEDIATE")?;
    work()?;
    floor.run("COMMIT")
}

/// Durable rows a second, with one row a commit and with as many as there are callers.
fn floor_writes(floor: &Floor, time: Duration, random: &Random, figures: &mut Figures) -> Outcome {
    for (name, rows) in [("floor, one row a commit", 1), ("floor, 64 rows a commit", CALLERS)] {
        let (began, mut written) = (Instant::now(), 0);
        while began.elapsed() < time {
            transaction(floor, || (0..rows).try_for_each(|_| floor.insert(&random.bytes(), AT.0)))?;
            written += rows;
        }
        figures.note(name, written as f64 / began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Microseconds a statement, the commit left out.
fn floor_costs(floor: &Floor, ids: &[Id], random: &Random, figures: &mut Figures) -> Outcome {
    let began = Instant::now();
    floor.run("BEGIN")?;
    for id in some(ids, random) {
        floor.find(id.0.as_bytes())?;
    }
    floor.run("COMMIT")?;
    figures.note("floor, read", each(began.elapsed()));
    let mut took = Duration::ZERO;
    transaction(floor, || {
        let began = Instant::now();
        (0..BATCH).try_for_each(|_| floor.insert(&random.bytes(), AT.0))?;
        took = began.elapsed();
        Ok(())
    })?;
    figures.note("floor, insert", each(took));
    Ok(())
}

async fn our_costs(db: &Db, ids: &[Id], random: &Random, figures: &mut Figures) -> Outcome {
    let batch = some(ids, random);
    let took = db.read("find", move |c| {
        let began = Instant::now();
        batch.iter().try_for_each(|id| store::find(c, *id).map(drop))?;
        Ok::<_, Error>(began.elapsed())
    });
    figures.note("ours, read", each(took.await?));
    let fresh: Vec<Id> = (0..BATCH).map(|_| fresh(random)).collect();
    let took = db.write("insert", move |c| {
        let began = Instant::now();
        fresh.iter().try_for_each(|id| store::insert(c, *id, AT).map(drop))?;
        Ok::<_, Error>(began.elapsed())
    });
    figures.note("ours, insert", each(took.await?));
    let began = Instant::now();
    for _ in 0..BATCH {
        db.read("nothing", |_| Ok::<_, Error>(())).await?;
    }
    figures.note("hop", each(began.elapsed()));
    let began = Instant::now();
    for id in some(ids, random) {
        db.read("find", move |c| Ok::<_, Error>(store::find(c, id)?)).await?;
    }
    figures.note("ours, read with its hop", each(began.elapsed()));
    Ok(())
}

fn some(ids: &[Id], random: &Random) -> Vec<Id> {
    (0..BATCH).map(|_| ids[u32::from_le_bytes(random.bytes()) as usize % ids.len()]).collect()
}

fn each(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6 / BATCH as f64
}

fn report(figures: &Figures) -> Outcome {
    say("SQLite, WAL, synchronous=FULL; medians")?;
    for name in ["floor, one row a commit", "floor, 64 rows a commit", "ours, a second"] {
        say(&format!("  {name:<40} {:>9.0} rows/s", figures.of(name)))?;
    }
    for name in ["floor, read", "ours, read", "hop", "ours, read with its hop", "floor, insert", "ours, insert"] {
        say(&format!("  {name:<40} {:>9.1} us", figures.of(name)))?;
    }
    say("")?;
    let rate = figures.of("ours, a second");
    judge(
        "64 callers: rows/s beside one row a commit",
        rate / figures.of("floor, one row a commit"),
        Aim::AtLeast(15.0),
    )?;
    judge(
        "64 callers: rows/s beside 64 rows a commit",
        rate / figures.of("floor, 64 rows a commit"),
        Aim::AtLeast(0.5),
    )?;
    judge("64 callers: p99 of a durable write, ms", figures.of("p99"), Aim::AtMost(10.0))?;
    let read = (figures.of("ours, read with its hop") - figures.of("hop")) / figures.of("floor, read");
    judge("point read less an empty read (the hop), beside the C API", read, Aim::AtMost(1.5))?;
    judge(
        "insert within a transaction, beside the C API",
        figures.of("ours, insert") / figures.of("floor, insert"),
        Aim::AtMost(1.3),
    )?;
    Ok(())
}

//! SQLite: one writer that groups commits, beside one connection of the C API.

use std::{path::Path, time::Duration};

use ::db::{Db, Error, Id, Options};
use ::mesh::Random;
use tokio::time::Instant;

use super::{
    AT, CALLERS, Figures, Outcome, crowd,
    floor::{Away, Floor},
    fresh, p99, reads, say, store,
};
use crate::aims::{Aim, Aims};

/// Rows that are there to be read.
const PEOPLE: usize = 100_000;
/// Inserts of one measurement of their cost.
const BATCH: usize = 5_000;
/// Durable inserts of one caller, each of which waits for the disk.
const ALONE: usize = 500;

pub(super) async fn run(rounds: usize, time: Duration, aims: &mut Aims) -> Outcome {
    let folder = tempfile::tempdir()?;
    let random = Random::system();
    let people = some_new(PEOPLE, &random);
    // What a statement costs depends on the size of its table, and who writes more in a given time has the bigger one.
    let (rates, costs) = (folder.path().join("rates"), folder.path().join("costs"));
    let (rates, costs) = (Sides::open(&rates, &people).await?, Sides::open(&costs, &people).await?);
    let mut figures = Figures::default();
    for _ in 0..rounds {
        rates.writes(time, &random, &mut figures).await?;
        costs.alone(&random, &mut figures).await?;
        reads::free(&costs, &people, &random, &mut figures).await?;
        costs.inserts(&random, &mut figures).await?;
    }
    rates.close().await;
    costs.close().await;
    figures.0.append(&mut reads::on_one_cpu(rounds, &folder.path().join("reads"), people).await?.0);
    report(&figures, aims)
}

/// Two databases, made by the same migrations and filled with the same people. The floor, too, reads on one connection and writes on another, so that
/// what one has in its cache is no help to the other.
pub(super) struct Sides {
    pub(super) db: Db,
    floor: Floor,
    pub(super) reader: Floor,
    /// The same two behind a hop.
    away: Away,
    pub(super) away_reader: Away,
}

impl Sides {
    pub(super) async fn open(folder: &Path, people: &[Id]) -> Outcome<Self> {
        let (ours, theirs) = (folder.join("ours.db"), folder.join("floor.db"));
        open(&theirs).await?.close().await;
        let (db, floor) = (open(&ours).await?, Floor::open(&theirs)?);
        insert(&db, people.to_vec()).await?;
        insert_into(&floor, people)?;
        let (away, away_reader) = (Away::open(&theirs), Away::open(&theirs));
        Ok(Self { db, floor, reader: Floor::open(&theirs)?, away, away_reader })
    }

    pub(super) async fn close(self) {
        self.db.close().await;
    }

    /// Durable rows a second: of the floor with one row a commit, and with as many as there are callers; of ours by that many callers.
    async fn writes(&self, time: Duration, random: &Random, figures: &mut Figures) -> Outcome {
        for (rate, slowest, rows) in [
            ("floor, one row a commit", "floor, p99 of one row", 1),
            ("floor, 64 rows a commit", "floor, p99 of 64 rows", CALLERS),
        ] {
            let (began, mut took) = (Instant::now(), Vec::new());
            while began.elapsed() < time {
                let start = Instant::now();
                transaction(&self.floor, || {
                    (0..rows).try_for_each(|_| self.floor.insert(fresh(random).0.as_bytes(), AT.0))
                })?;
                took.push(start.elapsed());
            }
            figures.note(rate, (took.len() * rows) as f64 / began.elapsed().as_secs_f64());
            figures.note(slowest, p99(took));
        }
        let rate = crowd(&self.db, time, store::insert).await?;
        figures.note("ours, 64 callers", rate.per_second);
        figures.note("ours, p99", rate.p99);
        Ok(())
    }

    /// Microseconds a durable insert, one after the other, and in turns: the disk is not the same from one moment to the next.
    async fn alone(&self, random: &Random, figures: &mut Figures) -> Outcome {
        let [mut floor, mut hop, mut ours] = [Duration::ZERO; 3];
        for _ in 0..ALONE {
            let (id, began) = (fresh(random), Instant::now());
            insert_one(&self.floor, id)?;
            floor += began.elapsed();
            let (id, began) = (fresh(random), Instant::now());
            self.away.run(move |floor| insert_one(floor, id)).await?;
            hop += began.elapsed();
            let (id, began) = (fresh(random), Instant::now());
            self.db.write("insert", move |c| Ok::<_, Error>(store::insert(c, id, AT)?)).await?;
            ours += began.elapsed();
        }
        figures.note("floor, durable insert", each(floor, ALONE));
        figures.note("floor behind a hop, durable insert", each(hop, ALONE));
        figures.note("ours, durable insert", each(ours, ALONE));
        Ok(())
    }

    /// Microseconds an insert, many in one transaction and its commit left out.
    async fn inserts(&self, random: &Random, figures: &mut Figures) -> Outcome {
        let ids = some_new(BATCH, random);
        figures.note("floor, insert", each(insert_into(&self.floor, &ids)?, BATCH));
        figures.note("ours, insert", each(insert(&self.db, ids).await?, BATCH));
        Ok(())
    }
}

async fn open(path: &Path) -> Outcome<Db> {
    let mut options = Options::new(format!("sqlite:{}", path.display()));
    options.patience = Duration::from_secs(60);
    Ok(Db::open(options, store::MIGRATIONS).await?)
}

/// One transaction of ours. How long its statements took.
async fn insert(db: &Db, ids: Vec<Id>) -> Outcome<Duration> {
    let inserted = db.write("insert", move |c| {
        let began = Instant::now();
        ids.iter().try_for_each(|id| store::insert(c, *id, AT).map(drop))?;
        Ok::<_, Error>(began.elapsed())
    });
    Ok(inserted.await?)
}

/// The same of the floor.
fn insert_into(floor: &Floor, ids: &[Id]) -> Outcome<Duration> {
    let mut took = Duration::ZERO;
    transaction(floor, || {
        let began = Instant::now();
        ids.iter().try_for_each(|id| floor.insert(id.0.as_bytes(), AT.0))?;
        took = began.elapsed();
        Ok(())
    })?;
    Ok(took)
}

fn insert_one(floor: &Floor, id: Id) -> Outcome {
    transaction(floor, || floor.insert(id.0.as_bytes(), AT.0))
}

fn transaction(floor: &Floor, work: impl FnOnce() -> Outcome) -> Outcome {
    floor.run("BEGIN IMMEDIATE")?;
    work()?;
    floor.run("COMMIT")
}

fn some_new(count: usize, random: &Random) -> Vec<Id> {
    (0..count).map(|_| fresh(random)).collect()
}

/// In microseconds.
pub(super) fn each(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e6 / count as f64
}

/// What grouping is to gain.
const GAIN: f64 = 15.0;

/// Says so if even the C API does not gain that much: then a commit waits for the disk too short a time for many rows to be little beside it.
fn explain(one: f64, many: f64) -> Outcome {
    let (each, all, most) = (1e6 / one, 1e6 * CALLERS as f64 / many, many / one);
    if most < GAIN {
        say(&format!(
            "  out of reach here: the C API commits one row in {each:.0} us and {CALLERS} rows in {all:.0} us, which is {most:.1} times the rows/s"
        ))?;
    }
    Ok(())
}

fn report(figures: &Figures, aims: &mut Aims) -> Outcome {
    say("SQLite, WAL, synchronous=FULL; medians")?;
    for (rate, slowest) in [
        ("floor, one row a commit", "floor, p99 of one row"),
        ("floor, 64 rows a commit", "floor, p99 of 64 rows"),
        ("ours, 64 callers", "ours, p99"),
    ] {
        say(&format!("  {rate:<40} {:>9.0} rows/s, p99 {:>6.1} ms", figures.of(rate), figures.of(slowest)))?;
    }
    for name in [
        reads::ON_ONE_CPU[0],
        reads::ON_ONE_CPU[1],
        reads::ON_ONE_CPU[2],
        reads::FREE[0],
        reads::FREE[1],
        reads::FREE[2],
        "floor, insert",
        "ours, insert",
        "floor, durable insert",
        "floor behind a hop, durable insert",
        "ours, durable insert",
    ] {
        say(&format!("  {name:<40} {:>9.1} us", figures.of(name)))?;
    }
    say("")?;
    let rate = figures.of("ours, 64 callers");
    let beside = |floor| rate / figures.of(floor);
    let what = "64 callers: rows/s beside one row a commit";
    aims.judge(what, beside("floor, one row a commit"), Aim::AtLeast(GAIN));
    explain(figures.of("floor, one row a commit"), figures.of("floor, 64 rows a commit"))?;
    aims.judge("64 callers: rows/s beside 64 rows a commit", beside("floor, 64 rows a commit"), Aim::AtLeast(0.5));
    aims.judge("64 callers: p99 of a durable write, ms", figures.of("ours, p99"), Aim::AtMost(10.0));
    let beside = |what: &str| {
        let floor = figures.of(&format!("floor, {what}"));
        let hop = figures.of(&format!("floor behind a hop, {what}")) - floor;
        (figures.of(&format!("ours, {what}")) - hop) / floor
    };
    aims.judge("point read on one CPU less the hop, beside the C API", beside("read on one CPU"), Aim::AtMost(1.5));
    aims.judge("durable insert less the hop, beside the C API", beside("durable insert"), Aim::AtMost(1.3));
    let insert = figures.of("ours, insert") / figures.of("floor, insert");
    aims.judge("insert within a transaction, beside the C API", insert, Aim::AtMost(1.3));
    Ok(())
}

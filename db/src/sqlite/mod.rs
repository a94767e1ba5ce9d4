//! SQLite: threads that read, and one that writes and commits in groups.

mod checkpoint;
mod connect;
mod group;
mod limit;
mod lock;
mod reader;
mod writer;

use crate::figures::Figures;
use crate::queue::Queue;
use crate::worker::{Worker, Workers, start};
use crate::{Migrations, OpenError, Options};
use checkpoint::Checkpoints;
use connect::Source;
use reader::Reader;
use std::sync::{Arc, Mutex};
use writer::Writer;

/// Threads that read; one writes besides.
const READERS: usize = 2;

/// Opens the file (or a database in memory) and starts the threads.
pub(crate) fn open(
    path: &str,
    options: &Options,
    migrations: &Migrations,
    figures: &Arc<Figures>,
) -> Result<Workers, OpenError> {
    let source = Arc::new(Source::of(path)?);
    let conn = connect::migrated(&source, migrations)?;
    let writer = Writer::new(Arc::clone(&source), conn, options, Arc::clone(figures));
    if options.inline {
        return Ok(Workers::Inline(Mutex::new(Some(Box::new(writer)))));
    }
    let failed = |cause| OpenError::File { path: source.path().into(), cause };
    let writes = Arc::new(Queue::new(options.queue));
    let run = |name: String, worker, queue: &Arc<Queue>| start(name, worker, Arc::clone(queue), Arc::clone(figures));
    if source.in_memory() {
        // A database in memory belongs to one connection.
        let threads = vec![run("db-write".to_owned(), Box::new(writer), &writes).map_err(failed)?];
        return Ok(Workers::Threads { reads: Arc::clone(&writes), writes, threads: Mutex::new(threads) });
    }
    let (checkpoints, thread) = Checkpoints::start(Arc::clone(&source)).map_err(failed)?;
    let writer = writer.with_checkpoints(checkpoints);
    let mut threads = vec![thread, run("db-write".to_owned(), Box::new(writer), &writes).map_err(failed)?];
    let reads = Arc::new(Queue::new(options.queue));
    for number in 0..READERS {
        let reader: Box<dyn Worker> = Box::new(Reader::new(Arc::clone(&source)));
        threads.push(run(format!("db-read-{number}"), reader, &reads).map_err(failed)?);
    }
    Ok(Workers::Threads { reads, writes, threads: Mutex::new(threads) })
}

//! Standard error, for which nobody waits: lines go through a bounded queue to a thread of its own. It is a pipe whose reader may stall, and a write to a full
//! pipe stalls whoever makes it: every thread that serves, with its deadlines, its probes and its signals.
//!
//! A process has one standard error, and so one queue, which is there once somebody has a line.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic,
    sync::{
        Arc, Condvar, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How many lines may wait. More are dropped, and counted.
const LINES: usize = 4096;
/// How many bytes are written at once, if so many wait.
const AT_ONCE: usize = 64 * 1024;
/// How long an end waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

static QUEUE: LazyLock<Queue> = LazyLock::new(|| Queue::start(io::stderr(), LINES));

/// Writes whole lines to standard error, each with one `write`. Never waits, and never fails: what finds no room is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

/// Waits until what was written before has come out, for a second at most. To be called before a process ends.
pub fn flush() {
    QUEUE.flush(PATIENCE);
}

/// How many lines were dropped, since they found no room or could not be written.
pub(crate) fn dropped() -> u64 {
    QUEUE.dropped.load(Relaxed)
}

/// Takes what a panic says the same way, and waits until it is out: it may be the last there is.
pub(crate) fn take_panics() {
    panic::set_hook(Box::new(|panicked| {
        let (thread, trace) = (thread::current(), Backtrace::capture());
        let mut line = format!("\nthread '{}' {panicked}\n", thread.name().unwrap_or("unnamed"));
        if trace.status() == BacktraceStatus::Captured {
            line.push_str(&trace.to_string());
        }
        QUEUE.put(line.as_bytes());
        flush();
    }));
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines on their way out.
struct Queue {
    lines: SyncSender<Box<[u8]>>,
    put: AtomicU64,
    dropped: Arc<AtomicU64>,
    written: Arc<Written>,
}

/// How many lines are out, or lost on their way.
#[derive(Default)]
struct Written {
    lines: Mutex<u64>,
    more: Condvar,
}

impl Queue {
    /// Begins to write to `out`.
    fn start(out: impl Write + Send + 'static, lines: usize) -> Self {
        let (lines, waiting) = sync_channel(lines);
        let (dropped, written) = (Arc::<AtomicU64>::default(), Arc::<Written>::default());
        let (lost, told) = (Arc::clone(&dropped), Arc::clone(&written));
        // Without a thread the receiver is gone, and every line is dropped and counted.
        let _ = thread::Builder::new().name("stderr".to_owned()).spawn(move || write(out, &waiting, &lost, &told));
        Self { lines, put: AtomicU64::new(0), dropped, written }
    }

    fn put(&self, line: &[u8]) {
        let count = match self.lines.try_send(line.into()) {
            Ok(()) => &self.put,
            Err(_) => &self.dropped,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Returns whether all that was put is out.
    fn flush(&self, patience: Duration) -> bool {
        let put = self.put.load(Relaxed);
        let written = self.written.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.written.more.wait_timeout_while(written, patience, |written| *written < put);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Writes as many lines at once as wait.
fn write(mut out: impl Write, waiting: &Receiver<Box<[u8]>>, lost: &AtomicU64, written: &Written) {
    let mut batch = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut lines = 1;
        batch.clear();
        batch.extend_from_slice(&first);
        while batch.len() < AT_ONCE
            && let Ok(next) = waiting.try_recv()
        {
            batch.extend_from_slice(&next);
            lines += 1;
        }
        if out.write_all(&batch).is_err() {
            lost.fetch_add(lines, Relaxed);
        }
        *written.lines.lock().unwrap_or_else(PoisonError::into_inner) += lines;
        written.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    /// Room for eight lines, in front of a pipe that nobody has read.
    fn queue() -> (Queue, PipeReader) {
        let (reader, writer) = pipe().expect("a pipe");
        (Queue::start(writer, 8), reader)
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_nobody_waits_for_it() {
        let (queue, mut reader) = queue();
        let line = [b'x'; 1024];
        // Until the pipe is full.
        while queue.flush(Duration::from_millis(50)) {
            queue.put(&line);
        }
        for _ in 0..2000 {
            queue.put(&line);
        }
        let (kept, dropped) = (queue.put.load(Relaxed), queue.dropped.load(Relaxed));
        assert!(dropped >= 1992, "{dropped}");
        let read = thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        assert!(queue.flush(Duration::from_secs(10)), "it is read now");
        drop(queue);
        let read = read.join().expect("no panic").expect("read");
        assert_eq!(read as u64, kept * 1024, "what was not dropped came out whole");
    }

    #[test]
    fn lines_come_out_in_order_and_are_out_after_a_flush() {
        let (queue, mut reader) = queue();
        for line in ["one\n", "two\n", "three\n"] {
            queue.put(line.as_bytes());
        }
        assert!(queue.flush(PATIENCE));
        drop(queue);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(text, "one\ntwo\nthree\n");
    }

    #[test]
    fn what_cannot_be_written_counts_as_dropped() {
        let (queue, reader) = queue();
        drop(reader);
        queue.put(b"one\n");
        assert!(queue.flush(PATIENCE));
        assert_eq!(queue.dropped.load(Relaxed), 1);
    }
}

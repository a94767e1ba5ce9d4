//! The threads that serve: one for each core, each with a runtime of its own. A connection stays where it was put, and with it TLS, HTTP/2 and the handlers
//! of its calls: nothing of a call moves between cores, or waits for a lock that another core holds. One runtime over all cores costs a busy
//! server half as much again, or more (`bench -- mesh`: bare tonic on both).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    task::JoinSet,
};

use crate::files;

/// Where connections are served. The default is the runtime that accepts them. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Threads(Arc<[Thread]>);

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// Runs a program on this thread, with a thread more for each other core this process may use and as many open files as it may have, and returns what it returns. What it has spawned ends
/// with it, on every thread; what blocks a thread of its own, as a look-up of a name may for long, is not waited for.
///
/// # Errors
/// If the operating system has no more threads, or none of what a runtime needs.
pub fn run<F: Future>(program: impl FnOnce(Threads) -> F) -> io::Result<F::Output> {
    files::raise();
    let own = runtime()?;
    let others = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let others: Vec<Other> = (1..=others).map(Other::start).collect::<io::Result<_>>()?;
    let handles = others.iter().map(|other| &other.runtime).chain([own.handle()]);
    let threads = handles.map(|runtime| Thread { runtime: runtime.clone(), connections: Arc::default() });
    let output = own.block_on(program(Threads(threads.collect())));
    drop(others);
    own.shutdown_background();
    Ok(output)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A thread beside the first, until this is dropped.
struct Other {
    runtime: Handle,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Other {
    fn start(number: usize) -> io::Result<Self> {
        let (end, ended) = oneshot::channel::<()>();
        let (tell, told) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            if tell.send(Ok(runtime.handle().clone())).is_ok() {
                // That nobody is left to end it ends it too.
                let _ = runtime.block_on(ended);
            }
            runtime.shutdown_background();
        })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, end: Some((end, thread)) })
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            drop(end);
            // What panicked on it has been told of.
            let _ = thread.join();
        }
    }
}

impl Threads {
    /// Serves a connection where fewest are.
    pub(crate) fn serve<F>(
        &self,
        stream: TcpStream,
        connections: &mut JoinSet<()>,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(thread) = self.0.iter().min_by_key(|thread| thread.connections.load(Relaxed)) else {
            connections.spawn(serve(stream));
            return;
        };
        let place = Place::take(&thread.connections);
        // A socket belongs to the runtime that made it, until it is taken out of it.
        let stream = stream.into_std();
        let served = async move {
            if let Ok(stream) = stream.and_then(TcpStream::from_std) {
                serve(stream).await;
            }
            drop(place);
        };
        connections.spawn_on(served, &thread.runtime);
    }
}

/// One connection of a thread.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        thread::ThreadId,
        time::{Duration, Instant},
    };

    use tokio::{net::TcpListener, sync::mpsc as queue};

    use super::*;

    /// How long what blocks would take.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Where the next connection is served, which ends when the sender it comes with is dropped.
    async fn connect(threads: &Threads, listener: &TcpListener) -> (ThreadId, oneshot::Sender<()>) {
        let address = listener.local_addr().expect("an address");
        let (near, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.expect("a connection");
        let (tell, mut told) = queue::channel(1);
        let (end, ended) = oneshot::channel();
        let mut connections = JoinSet::new();
        threads.serve(stream, &mut connections, async move |stream: TcpStream| {
            stream.writable().await.expect("its socket moved with it");
            tell.send(thread::current().id()).await.expect("somebody asks");
            let _ = ended.await;
        });
        connections.detach_all();
        drop(near);
        (told.recv().await.expect("it is served"), end)
    }

    #[test]
    fn the_end_waits_for_nothing_that_blocks() {
        let began = Instant::now();
        let _held = run(async |threads| {
            let block = |thread: &Thread| {
                let (free, stuck) = mpsc::channel::<()>();
                // A look-up of a name, for one, while no server of names answers.
                thread.runtime.spawn_blocking(move || stuck.recv_timeout(PATIENCE));
                free
            };
            threads.0.iter().map(block).collect::<Vec<_>>()
        });
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }

    #[test]
    fn connections_are_spread_over_the_cores() {
        let cores = thread::available_parallelism().expect("some").get();
        let served = run(async |threads| {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let mut served = Vec::new();
            for _ in 0..3 * cores {
                served.push(connect(&threads, &listener).await);
            }
            served
        });
        let mut on_each: HashMap<ThreadId, usize> = HashMap::new();
        for (thread, _) in served.expect("threads") {
            *on_each.entry(thread).or_default() += 1;
        }
        assert_eq!(on_each.into_values().collect::<Vec<_>>(), vec![3; cores]);
    }
}

//! Password hashing on threads of its own: slow by intent, so bounded by design.
//!
//! A hash takes a quarter of a second of a core. Work that cannot be done before its deadline is refused when it arrives, not after it
//! has queued; work whose caller has gone is dropped before it is begun. Whatever else there is to do comes first. So a flood of sign-ins costs the flood its answers and
//! nobody else theirs.

mod config;
#[cfg(target_os = "linux")]
mod priority;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use bcrypt::Version;
use mesh::{clock::Random, deadline, failure::Failure};
use tokio::sync::oneshot;

use crate::password::Password;
pub use config::Config;

/// The highest cost there may be.
const HIGHEST: u32 = 16;

/// Hashes and checks passwords, a bounded number at a time. Clones share the threads.
#[derive(Clone)]
pub(crate) struct Hasher {
    shared: Arc<Shared>,
    /// `None`: hash on the calling thread (simulated time does not know of other threads).
    jobs: Option<SyncSender<Job>>,
}

struct Shared {
    pepper: [u8; 32],
    cost: u32,
    /// The highest cost that there is: what a wrong password costs, whoever has the identifier, or nobody.
    highest: AtomicU32,
    threads: usize,
    random: Random,
    /// Hashes that are asked for and not made.
    waiting: AtomicUsize,
    /// The time one hash takes, in microseconds: a running mean.
    micros: AtomicU64,
}

struct Job {
    work: Work,
    deadline: Option<deadline::Deadline>,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

enum Work {
    Hash(String),
    Check { given: String, stored: Vec<Option<String>> },
}

impl Work {
    /// The hashes it takes, at most.
    fn hashes(&self) -> usize {
        match self {
            Self::Hash(_) => 1,
            Self::Check { stored, .. } => stored.len(),
        }
    }
}

enum Answer {
    Hash(String),
    /// Which of the stored ones it was.
    Check(Option<usize>),
}

impl Hasher {
    /// Starts the threads; with `inline` there are none, and each call hashes where it is made. The threads end with the last clone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(config: &Config, pepper: [u8; 32], random: Random, inline: bool) -> io::Result<Self> {
        let Config { cost, threads, queue } = *config;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads };
        // A first guess, until there is something to go by: 300 ms at cost 12.
        let micros = AtomicU64::new((300_000_u64 << cost) >> 12);
        let (highest, waiting) = (AtomicU32::new(cost), AtomicUsize::new(0));
        let shared = Arc::new(Shared { pepper, cost, highest, threads, random, waiting, micros });
        let jobs = if inline { None } else { Some(spawn(&shared, queue)?) };
        Ok(Self { shared, jobs })
    }

    /// There are hashes of this cost, from when it was the configured one: until there are none, a wrong password takes as long as one of theirs.
    pub(crate) fn reckon_with(&self, cost: u32) {
        self.shared.highest.fetch_max(cost.min(HIGHEST), Relaxed);
    }

    /// The hash of a password, in bcrypt's modular crypt format.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED` if it could not be done in time.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Failure> {
        match self.submit(Work::Hash(password.peppered(&self.shared.pepper))).await? {
            Answer::Hash(hash) => Ok(hash),
            Answer::Check(_) => Err(Failure::internal(Broken)),
        }
    }

    /// Whether `password` is the one that `stored` was made of. Without a stored hash the answer is no, and takes as long as any other no.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED` if it could not be done in time.
    pub(crate) async fn check(&self, password: &Password, stored: Option<String>) -> Result<bool, Failure> {
        Ok(self.first_right(password, [stored]).await?.is_some())
    }

    /// Which of these `password` was made of, the first that is right: one hash for each until then. One that is not stored is never right, and takes as long.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED` if all of them could not be compared in time.
    pub(crate) async fn first_right<const N: usize>(
        &self,
        password: &Password,
        stored: [Option<String>; N],
    ) -> Result<Option<usize>, Failure> {
        let (given, stored) = (password.peppered(&self.shared.pepper), stored.into());
        match self.submit(Work::Check { given, stored }).await? {
            Answer::Check(right) => Ok(right),
            Answer::Hash(_) => Err(Failure::internal(Broken)),
        }
    }

    /// Whether a stored hash was made at another cost than today's.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        cost_of(stored) != Some(self.shared.cost)
    }

    /// That so many hashes which were asked for now could be made before the caller's deadline. Whoever asks before they write anything has what is refused cost
    /// nothing.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED`.
    pub(crate) fn admit(&self, hashes: usize) -> Result<(), Failure> {
        let needed = self.shared.time_to_finish(hashes);
        let late = self.jobs.is_some() && deadline::current().is_some_and(|deadline| deadline.left() < needed);
        if late { Err(Failure::overloaded(needed)) } else { Ok(()) }
    }

    async fn submit(&self, work: Work) -> Result<Answer, Failure> {
        let Some(jobs) = &self.jobs else { return self.shared.run(work) };
        let hashes = work.hashes();
        self.admit(hashes)?;
        let (reply, answer) = oneshot::channel();
        self.shared.waiting.fetch_add(hashes, Relaxed);
        let job = Job { work, deadline: deadline::current(), reply };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = jobs.try_send(job) {
            self.shared.waiting.fetch_sub(hashes, Relaxed);
            return Err(Failure::overloaded(self.shared.time_to_finish(hashes)));
        }
        answer.await.unwrap_or_else(|_| Err(Failure::internal(Broken)))
    }
}

impl Shared {
    /// How long hashes that are asked for now would wait and take, one after the other.
    fn time_to_finish(&self, hashes: usize) -> Duration {
        self.time_of(self.waiting.load(Relaxed) / self.threads + hashes)
    }

    fn time_of(&self, hashes: usize) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed)) * u32::try_from(hashes).unwrap_or(u32::MAX)
    }

    fn run(&self, work: Work) -> Result<Answer, Failure> {
        match work {
            Work::Hash(given) => {
                tracing::trace!("a password is hashed");
                bcrypt::hash_with_salt(given, self.cost, self.random.bytes())
                    .map(|parts| Answer::Hash(parts.format_for_version(Version::TwoB)))
                    .map_err(Failure::internal)
            }
            Work::Check { given, stored } => {
                for (at, stored) in stored.iter().enumerate() {
                    if self.is_right(&given, stored.as_deref())? {
                        return Ok(Answer::Check(Some(at)));
                    }
                }
                Ok(Answer::Check(None))
            }
        }
    }

    fn is_right(&self, given: &str, stored: Option<&str>) -> Result<bool, Failure> {
        tracing::trace!("a password is hashed");
        // What a password that nobody has is compared with, so that an unknown user costs what a known one does.
        let dummy = || format!("$2b${:02}$abcdefghijklmnopqrstuuLv1AVsxBkI1UFbcBBLxYrVqyMcX5aFa", self.cost);
        let against = stored.map_or_else(dummy, str::to_owned);
        if bcrypt::verify(given, &against).map_err(Failure::internal)? && stored.is_some() {
            return Ok(true);
        }
        // A hash from when the cost was lower is quicker, which would tell who has an account. 2^old + 2^old + 2^(old + 1) + … = 2^highest.
        for cost in cost_of(&against).unwrap_or(self.cost)..self.highest.load(Relaxed) {
            bcrypt::hash_with_salt(given, cost, [0; 16]).map_err(Failure::internal)?;
        }
        Ok(false)
    }

    fn serve(&self, job: Job) {
        let hashes = job.work.hashes();
        let worth = self.time_of(hashes);
        if job.reply.is_closed() {
            return;
        }
        if job.deadline.is_some_and(|deadline| deadline.left() < worth) {
            let _ = job.reply.send(Err(Failure::overloaded(worth)));
            return;
        }
        let begun = Instant::now();
        let answer = self.run(job.work);
        let made = if let Ok(Answer::Check(Some(at))) = answer { at + 1 } else { hashes };
        let each = begun.elapsed() / u32::try_from(made).unwrap_or(u32::MAX);
        let took = u64::try_from(each.as_micros()).unwrap_or(u64::MAX);
        self.micros.store((self.micros.load(Relaxed) * 7 + took) / 8, Relaxed);
        let _ = job.reply.send(answer);
    }
}

/// The cost that a hash was made at.
fn cost_of(stored: &str) -> Option<u32> {
    stored.split('$').nth(2).and_then(|cost| cost.parse().ok())
}

fn spawn(shared: &Arc<Shared>, queue: usize) -> io::Result<SyncSender<Job>> {
    let (jobs, waiting) = sync_channel(queue);
    let waiting = Arc::new(Mutex::new(waiting));
    for number in 0..shared.threads {
        let (shared, waiting) = (Arc::clone(shared), Arc::clone(&waiting));
        thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
            #[cfg(target_os = "linux")]
            priority::give_way(number);
            while let Some(job) = next(&waiting) {
                let hashes = job.work.hashes();
                shared.serve(job);
                shared.waiting.fetch_sub(hashes, Relaxed);
            }
        })?;
    }
    Ok(jobs)
}

/// The next job; `None` when no hasher is left.
fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[derive(Debug, thiserror::Error)]
#[error("a hashing thread gave no answer")]
struct Broken;

#[cfg(test)]
mod tests;

//! Password hashing on threads of its own: slow by intent, so bounded by design.
//!
//! A hash takes a quarter of a second of a core. Work that cannot be done before its deadline is refused when it arrives, not after it
//! has queued; work whose caller has gone is dropped before it is begun. Whatever else there is to do comes first. So a flood of sign-ins costs the flood its answers and
//! nobody else theirs.

#[cfg(target_os = "linux")]
mod priority;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use bcrypt::Version;
use mesh::{clock::Random, deadline, failure::Failure};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::password::Password;

/// How passwords are hashed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// bcrypt's cost, 10 to 16 (OWASP Password Storage: 10 at least). Each step doubles the work.
    pub cost: u32,
    /// Threads that hash; 0 is one a core. At most 64.
    pub threads: usize,
    /// Passwords that may wait for a thread, 1 to 4096.
    pub queue: usize,
}

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
    threads: usize,
    random: Random,
    /// What a password that nobody has is compared with, so that an unknown user costs what a known one does.
    dummy: String,
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
    Check { given: String, stored: Option<String> },
}

enum Answer {
    Hash(String),
    Check(bool),
}

impl Hasher {
    /// Starts the threads; with `inline` there are none, and each call hashes where it is made. The threads end with the last clone.
    ///
    /// # Errors
    /// If the configuration is out of bounds, or the system gives no thread.
    pub(crate) fn start(config: &Config, pepper: [u8; 32], random: Random, inline: bool) -> Result<Self, String> {
        let Config { cost, threads, queue } = *config;
        // The floor is lower where tests may set it: never in a release build.
        let floor = if cfg!(debug_assertions) { 4 } else { 10 };
        if !(floor..=16).contains(&cost) || threads > 64 || !(1..=4096).contains(&queue) {
            return Err("hashing: cost is 10 to 16, threads 0 to 64, queue 1 to 4096".to_owned());
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores } else { threads };
        let dummy = format!("$2b${cost:02}$abcdefghijklmnopqrstuuLv1AVsxBkI1UFbcBBLxYrVqyMcX5aFa");
        // A first guess, until there is something to go by: 300 ms at cost 12.
        let micros = AtomicU64::new((300_000_u64 << cost) >> 12);
        let waiting = AtomicUsize::new(0);
        let shared = Arc::new(Shared { pepper, cost, threads, random, dummy, waiting, micros });
        let jobs = if inline { None } else { Some(spawn(&shared, queue).map_err(|error| error.to_string())?) };
        Ok(Self { shared, jobs })
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

    /// Whether `password` is the one that `stored` was made of. Without a stored hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED` if it could not be done in time.
    pub(crate) async fn check(&self, password: &Password, stored: Option<String>) -> Result<bool, Failure> {
        match self.submit(Work::Check { given: password.peppered(&self.shared.pepper), stored }).await? {
            Answer::Check(right) => Ok(right),
            Answer::Hash(_) => Err(Failure::internal(Broken)),
        }
    }

    /// Whether a stored hash was made at another cost than today's.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        cost_of(stored) != Some(self.shared.cost)
    }

    /// That a password which came now could be hashed before its caller's deadline. Whoever asks before they write anything has what is refused cost nothing.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OVERLOADED`.
    pub(crate) fn admit(&self) -> Result<(), Failure> {
        let needed = self.shared.time_to_finish();
        let late = self.jobs.is_some() && deadline::current().is_some_and(|deadline| deadline.left() < needed);
        if late { Err(Failure::overloaded(needed)) } else { Ok(()) }
    }

    async fn submit(&self, work: Work) -> Result<Answer, Failure> {
        let Some(jobs) = &self.jobs else { return self.shared.run(work) };
        self.admit()?;
        let (reply, answer) = oneshot::channel();
        self.shared.waiting.fetch_add(1, Relaxed);
        let job = Job { work, deadline: deadline::current(), reply };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = jobs.try_send(job) {
            self.shared.waiting.fetch_sub(1, Relaxed);
            return Err(Failure::overloaded(self.shared.time_to_finish()));
        }
        answer.await.unwrap_or_else(|_| Err(Failure::internal(Broken)))
    }
}

impl Shared {
    /// How long a password that comes now would wait and take.
    fn time_to_finish(&self) -> Duration {
        let rounds = self.waiting.load(Relaxed) / self.threads + 1;
        Duration::from_micros(self.micros.load(Relaxed)) * u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    fn run(&self, work: Work) -> Result<Answer, Failure> {
        tracing::trace!("a password is hashed");
        match work {
            Work::Hash(given) => bcrypt::hash_with_salt(given, self.cost, self.random.bytes())
                .map(|parts| Answer::Hash(parts.format_for_version(Version::TwoB)))
                .map_err(Failure::internal),
            Work::Check { given, stored } => {
                let against = stored.as_deref().unwrap_or(&self.dummy);
                let right = bcrypt::verify(&given, against).map_err(Failure::internal)?;
                // A hash from when the cost was lower is quicker, which would tell who has an account. 2^old + 2^old + 2^(old + 1) + … = 2^cost.
                for cost in cost_of(against).unwrap_or(self.cost)..self.cost {
                    bcrypt::hash_with_salt(&given, cost, [0; 16]).map_err(Failure::internal)?;
                }
                Ok(Answer::Check(right && stored.is_some()))
            }
        }
    }

    fn serve(&self, job: Job) {
        let worth = Duration::from_micros(self.micros.load(Relaxed));
        if job.reply.is_closed() {
            return;
        }
        if job.deadline.is_some_and(|deadline| deadline.left() < worth) {
            let _ = job.reply.send(Err(Failure::overloaded(worth)));
            return;
        }
        let begun = Instant::now();
        let answer = self.run(job.work);
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store((self.micros.load(Relaxed) * 7 + took) / 8, Relaxed);
        let _ = job.reply.send(answer);
    }
}

/// The cost that a hash was made at.
fn cost_of(stored: &str) -> Option<u32> {
    stored.split('$').nth(2).and_then(|cost| cost.parse().ok())
}

fn spawn(shared: &Arc<Shared>, queue: usize) -> std::io::Result<SyncSender<Job>> {
    let (jobs, waiting) = sync_channel(queue);
    let waiting = Arc::new(Mutex::new(waiting));
    for number in 0..shared.threads {
        let (shared, waiting) = (Arc::clone(shared), Arc::clone(&waiting));
        thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
            #[cfg(target_os = "linux")]
            priority::give_way(number);
            while let Some(job) = next(&waiting) {
                shared.serve(job);
                shared.waiting.fetch_sub(1, Relaxed);
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
mod tests {
    use std::time::Duration;

    use mesh::{clock::Random, deadline};
    use tonic::Code;

    use super::{Config, Hasher};
    use crate::password::Password;

    fn hasher(cost: u32, threads: usize, queue: usize) -> Hasher {
        Hasher::start(&Config { cost, threads, queue }, [3; 32], Random::seeded(1), false).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::new(text, None).unwrap()
    }

    #[tokio::test]
    async fn checks_what_it_hashed() {
        let hasher = hasher(4, 2, 8);
        let stored = hasher.hash(&password("correct horse")).await.unwrap();
        assert!(stored.starts_with("$2b$04$"));
        assert!(hasher.check(&password("correct horse"), Some(stored.clone())).await.unwrap());
        assert!(!hasher.check(&password("correct house"), Some(stored.clone())).await.unwrap());
        assert!(!hasher.check(&password("correct horse"), None).await.unwrap());
        assert!(!hasher.is_outdated(&stored));
        assert!(hasher.is_outdated(&stored.replace("$04$", "$05$")));
    }

    #[tokio::test]
    async fn a_hash_of_an_older_cost_takes_as_long_as_one_of_today() {
        let (old, today, given) = (hasher(4, 1, 8), hasher(10, 1, 8), password("correct horse"));
        let outdated = old.hash(&given).await.unwrap();
        // Of several, the quickest: what else the machine does only adds.
        let quickest = async |stored: Option<String>| {
            let mut quickest = Duration::MAX;
            for _ in 0..5 {
                let begun = std::time::Instant::now();
                assert_eq!(today.check(&given, stored.clone()).await.unwrap(), stored.is_some());
                quickest = quickest.min(begun.elapsed());
            }
            quickest
        };
        let (nobody, somebody) = (quickest(None).await, quickest(Some(outdated)).await);
        // Six costs apart are a factor of 64, which no load makes up for.
        assert!(somebody > nobody / 8, "{somebody:?} beside {nobody:?}");
    }

    #[tokio::test]
    async fn what_cannot_meet_its_deadline_is_refused_at_once() {
        let hasher = hasher(12, 1, 64);
        let begun = std::time::Instant::now();
        let deadline = deadline::Deadline::after(Duration::from_millis(100));
        let refused = deadline::within(deadline, hasher.hash(&password("correct horse"))).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(deadline::within(deadline, async { hasher.admit() }).await.is_err(), "and said so before");
        assert!(hasher.admit().is_ok(), "whoever has time may wait");
        assert!(begun.elapsed() < Duration::from_millis(50), "hashed before it refused");
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let hasher = hasher(8, 1, 1);
        let given = password("correct horse");
        let answers = tokio::join!(hasher.hash(&given), hasher.hash(&given), hasher.hash(&given), hasher.hash(&given));
        let refused = [answers.0.is_err(), answers.1.is_err(), answers.2.is_err(), answers.3.is_err()];
        assert!(refused.contains(&true), "four fitted into one place and one thread");
    }
}

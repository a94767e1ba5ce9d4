//! How passwords are hashed: the section `[passwords]`.

use mesh::config::Bounds;
use serde::Deserialize;

use super::HIGHEST;

/// The lowest cost that settings may ask for (OWASP Password Storage). Lower where the program is under test: never in a release build.
const LOWEST: u32 = if cfg!(debug_assertions) { 4 } else { 10 };

/// How passwords are hashed. What is read is within bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Config {
    /// bcrypt's cost, 10 to 16. Each step doubles the work.
    pub cost: u32,
    /// Threads that hash; 0 is one a core. At most 64.
    pub threads: usize,
    /// Passwords that may wait for a thread, 1 to 4096.
    pub queue: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    cost: u32,
    threads: usize,
    queue: usize,
}

impl TryFrom<Raw> for Config {
    type Error = String;

    fn try_from(Raw { cost, threads, queue }: Raw) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        bounds.hold("passwords.cost", cost.into(), LOWEST.into()..=HIGHEST.into());
        bounds.hold("passwords.threads", threads as u64, 0..=64);
        bounds.hold("passwords.queue", queue as u64, 1..=4096);
        bounds.finish(Self { cost, threads, queue })
    }
}

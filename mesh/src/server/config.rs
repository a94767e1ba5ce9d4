//! The bounds of a server, as its section of the settings has them.

use std::time::Duration;

use serde::Deserialize;

use crate::config::{self, Bounds};

/// The bounds of a server: what it takes on, and how long it waits. Each default, and what settings may say, is in `default.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Settings")]
pub struct Limits {
    /// The longest request message, in bytes; longer ones are RESOURCE_EXHAUSTED. 64 KiB; 1 KiB to 4 MiB,
    /// where tonic's own limit stands.
    pub message_bytes: u32,
    /// The most bytes of headers in one request. 16 KiB; 4 to 256 KiB.
    pub header_bytes: u32,
    /// The most connections at a time; others wait to be accepted. 4096; 16 to 65,536.
    pub connections: u32,
    /// The most calls at a time on one connection, so that none has all the places; more are RESOURCE_EXHAUSTED `OVERLOADED`. 256; 16 to 16,384.
    pub streams: u32,
    /// The most calls at a time over all connections, and fewer, down to 64, while calls take more than a third of their method's deadline; more are
    /// RESOURCE_EXHAUSTED `OVERLOADED`. Probes are not counted; streams of health and reflection are, apart: as many again. 1024; 64 to 65,536.
    pub calls: u32,
    /// How long a peer that connected may take over its first words: TLS apart, the 24 bytes that open HTTP/2. 10 s; 1 to 60 s.
    pub greeting: Duration,
    /// How long a connection lives, ±10 %, until its caller is told to make another: so calls spread over replicas that came
    /// later, and certificates change. 30 min; 1 min to a day.
    pub age: Duration,
    /// How long calls may go on on a connection that has reached its age or was idle; those that allow themselves more are UNAVAILABLE then. 60 s; 1 to
    /// 10 min.
    pub grace: Duration,
    /// After how long without a call a connection is ended. 15 min; 1 min to a day.
    pub idle: Duration,
    /// How long calls may go on after [`crate::Shutdown`] has begun; those that are left are UNAVAILABLE then. 10 s; 1 to 300 s.
    pub drain: Duration,
}

/// As mesh's default.toml has them.
impl Default for Limits {
    fn default() -> Self {
        config::section("server")
    }
}

/// The section `[server]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    message_bytes: u32,
    header_bytes: u32,
    connections: u32,
    streams: u32,
    calls: u32,
    greeting_seconds: u32,
    age_seconds: u32,
    grace_seconds: u32,
    idle_seconds: u32,
    drain_seconds: u32,
}

impl TryFrom<Settings> for Limits {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        const DAY: u64 = 24 * 60 * 60;
        let mut bounds = Bounds::default();
        for (key, value, within) in [
            ("server.message_bytes", settings.message_bytes, 1024..=4 * 1024 * 1024),
            ("server.header_bytes", settings.header_bytes, 4096..=256 * 1024),
            ("server.connections", settings.connections, 16..=65_536),
            ("server.streams", settings.streams, 16..=16_384),
            ("server.calls", settings.calls, 64..=65_536),
            ("server.greeting_seconds", settings.greeting_seconds, 1..=60),
            ("server.age_seconds", settings.age_seconds, 60..=DAY),
            ("server.grace_seconds", settings.grace_seconds, 60..=600),
            ("server.idle_seconds", settings.idle_seconds, 60..=DAY),
            ("server.drain_seconds", settings.drain_seconds, 1..=300),
        ] {
            bounds.hold(key, value.into(), within);
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        bounds.finish(Self {
            message_bytes: settings.message_bytes,
            header_bytes: settings.header_bytes,
            connections: settings.connections,
            streams: settings.streams,
            calls: settings.calls,
            greeting: seconds(settings.greeting_seconds),
            age: seconds(settings.age_seconds),
            grace: seconds(settings.grace_seconds),
            idle: seconds(settings.idle_seconds),
            drain: seconds(settings.drain_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Whole {
        server: Limits,
    }

    const KEYS: [(&str, u64, u64); 10] = [
        ("message_bytes", 1024, 4_194_304),
        ("header_bytes", 4096, 262_144),
        ("connections", 16, 65_536),
        ("streams", 16, 16_384),
        ("calls", 64, 65_536),
        ("greeting_seconds", 1, 60),
        ("age_seconds", 60, 86_400),
        ("grace_seconds", 60, 600),
        ("idle_seconds", 60, 86_400),
        ("drain_seconds", 1, 300),
    ];

    fn read(value: impl Fn(&(&str, u64, u64)) -> u64) -> Result<Limits, String> {
        let lines: String = KEYS.iter().map(|key| format!("{} = {}\n", key.0, value(key))).collect();
        let read = crate::config::load("test", format!("[server]\n{lines}").leak(), None);
        read.map(|whole: Whole| whole.server).map_err(|error| error.to_string())
    }

    #[test]
    fn each_bound_holds_and_is_named() {
        let (least, most) = (read(|key| key.1).expect("the least"), read(|key| key.2).expect("the most"));
        assert_eq!((least.calls, least.drain), (64, Duration::from_secs(1)));
        assert_eq!((most.message_bytes, most.age), (4_194_304, Duration::from_secs(86_400)));
        for (key, low, high) in KEYS {
            for wrong in [low - 1, high + 1] {
                let refused = read(|other| if other.0 == key { wrong } else { other.1 }).expect_err(key);
                let text = format!("server.{key} must be from {low} to {high}, not {wrong}");
                assert!(refused.contains(&text), "{refused}");
            }
        }
        let all = read(|key| key.2 + 1).expect_err("all are wrong");
        assert!(KEYS.iter().all(|key| all.contains(&format!("server.{} must", key.0))), "{all}");
    }
}

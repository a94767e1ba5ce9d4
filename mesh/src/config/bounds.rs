//! Within which bounds a setting may be.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// Gathers the settings that are out of their bounds, so that all of them are named at once.
#[derive(Debug, Default)]
pub struct Bounds(Vec<String>);

impl Bounds {
    /// The setting `key`, as in `default.toml`, may be within `bounds`.
    pub fn hold(&mut self, key: &str, value: u64, bounds: RangeInclusive<u64>) {
        if !bounds.contains(&value) {
            self.refuse(format!("{key} must be from {} to {}, not {value}", bounds.start(), bounds.end()));
        }
    }

    /// A setting breaks another rule; the text names both.
    pub fn refuse(&mut self, reason: String) {
        self.0.push(reason);
    }

    /// The `value` that was made of the settings, if none is refused.
    ///
    /// # Errors
    /// All that was refused, as a text for [`ConfigError`].
    pub fn finish<T>(self, value: T) -> Result<T, String> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0.join("; ")) }
    }
}

/// How many connections a service keeps to its database where that is a server: 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Connections(usize);

impl Connections {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<u64> for Connections {
    type Error = String;

    fn try_from(connections: u64) -> Result<Self, String> {
        let mut bounds = Bounds::default();
        bounds.hold("database_connections", connections, 1..=64);
        bounds.finish(Self(usize::try_from(connections).unwrap_or(64)))
    }
}

//! What the program says of itself, and what it must not say.

use std::{fmt, io::IsTerminal as _};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How to log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `pretty` for people, `compact` for one line each, `json` for collectors.
    pub format: LogFormat,
    /// Levels by target, in the syntax of tracing's EnvFilter: `info,mesh=debug`.
    pub filter: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Several lines an event.
    Pretty,
    /// One JSON object an event.
    Json,
    /// One line an event.
    Compact,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Compact, filter: "info".to_owned() }
    }
}

/// Sends events to standard error from now on. Does nothing if something already receives them, as in tests. A filter that
/// cannot be parsed is reported, and `info` takes its place: a misspelt filter must not keep a service down.
pub fn init(log: &LogConfig) {
    let (filter, problem) = match EnvFilter::try_new(&log.filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_coloured());
    let set = match log.format {
        LogFormat::Pretty => lines.pretty().try_init(),
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Compact => lines.compact().try_init(),
    };
    if let (Ok(()), Some(error)) = (set, problem) {
        tracing::warn!(%error, filter = log.filter, "the log filter cannot be parsed");
    }
}

/// Colours are for people at a terminal who did not refuse them (no-color.org).
fn is_coloured() -> bool {
    #[allow(clippy::disallowed_methods, reason = "the edge where the environment is read")]
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// A value that prints as its mask, for fields of log events and Debug of types that hold personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked(String);

impl Masked {
    /// See [`mask_phone`].
    pub fn phone(number: &str) -> Self {
        Self(mask_phone(number))
    }

    /// See [`mask_email`].
    pub fn email(address: &str) -> Self {
        Self(mask_email(address))
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone number in E.164 with its first three and last three characters: `+84912345678` is `+84•••••678`. The mask has one
/// length, so that it does not tell the number's. Short texts are masked whole.
pub fn mask_phone(number: &str) -> String {
    let characters: Vec<char> = number.chars().collect();
    match characters.as_slice() {
        [a, b, c, middle @ .., x, y, z] if middle.len() >= 3 => format!("{a}{b}{c}•••••{x}{y}{z}"),
        _ => "•••••".to_owned(),
    }
}

/// An e-mail address with the first character of its local part: `anna@example.com` is `a•••@example.com`. A text without `@`
/// is masked whole.
pub fn mask_email(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}•••@{domain}", local.chars().next().map(String::from).unwrap_or_default()),
        None => "•••".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_masked() {
        assert_eq!(mask_phone("+84912345678"), "+84•••••678");
        assert_eq!(mask_phone("+8491234"), "•••••");
        assert_eq!(mask_phone(""), "•••••");
        assert_eq!(mask_email("anna@example.com"), "a•••@example.com");
        assert_eq!(mask_email("@example.com"), "•••@example.com");
        assert_eq!(mask_email("anna"), "•••");
        assert_eq!(format!("{:?} {}", Masked::phone("+84912345678"), Masked::email("ä@b.c")), "+84•••••678 ä•••@b.c");
    }
}

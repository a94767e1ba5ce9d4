//! What the program says of itself, and what it must not say.

mod line;
mod mask;

use std::io::IsTerminal as _;

use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    config,
    stderr::{self, Lines},
    trace,
};
use line::{Closing, Line};
pub use mask::{Masked, mask_email, mask_phone};

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

/// As mesh's default.toml has it.
impl Default for LogConfig {
    fn default() -> Self {
        config::section("log")
    }
}

/// Sends events and panics to standard error from now on, by [`stderr`], which is to be flushed at the end, and transactions to the trace they belong to if `traced`. Does nothing if something already receives
/// them, as in tests. A filter that cannot be parsed is reported, and `info` takes its place: a misspelt filter must not keep a service down.
pub fn init(log: &LogConfig, traced: bool) {
    let (filter, problem) = match EnvFilter::try_new(&log.filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let lines = fmt::layer::<Registry>().with_writer(|| Lines).with_ansi(is_coloured());
    let format = fmt::format().with_ansi(is_coloured());
    let lines = match log.format {
        LogFormat::Pretty => lines.event_format(Line::new(format.pretty(), Closing::Text)).boxed(),
        LogFormat::Compact => lines.event_format(Line::new(format, Closing::Text)).boxed(),
        LogFormat::Json => {
            let fields = fmt::format::JsonFields::new();
            lines.fmt_fields(fields).event_format(Line::new(format.json(), Closing::Json)).boxed()
        }
    };
    let set = match traced {
        // The filter of the log is the whole program's as long as nobody else wants to see anything.
        false => Registry::default().with(lines).with(filter).try_init(),
        true => Registry::default().with(lines.with_filter(filter)).with(trace::database()).try_init(),
    };
    if set.is_err() {
        return;
    }
    stderr::take_panics();
    if let Some(error) = problem {
        tracing::warn!(%error, filter = log.filter, "the log filter cannot be parsed");
    }
}

/// Colours are for people at a terminal who did not refuse them (no-color.org).
fn is_coloured() -> bool {
    #[allow(clippy::disallowed_methods, reason = "the edge where the environment is read")]
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

//! A line of the log, with the trace and the span it belongs to (OpenTelemetry, "Trace Context in non-OTLP Log Formats").

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::trace;

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Anyhow.
    Text,
    /// With the brace of an object.
    Json,
}

/// Writes an event as `format` does, with `trace_id` and `span_id` as its last fields if it belongs to a trace.
pub(super) struct Line<F> {
    format: F,
    closing: Closing,
}

impl<F> Line<F> {
    pub(super) fn new(format: F, closing: Closing) -> Self {
        Self { format, closing }
    }
}

impl<S, N, F> FormatEvent<S, N> for Line<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some((trace, span)) = trace::ids() else { return self.format.format_event(context, writer, event) };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match (self.closing, line.strip_suffix('}')) {
            (Closing::Json, Some(open)) => writeln!(writer, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}"),
            _ => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::subscriber::with_default;
    use tracing_subscriber::{Registry, fmt, layer::SubscriberExt as _};

    use super::*;
    use crate::telemetry::{Outsiders, Telemetry};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of one event within a trace and one outside of it.
    fn written(closing: Closing) -> Vec<String> {
        let written = Written::default();
        let into = written.clone();
        let lines = fmt::layer().with_ansi(false).with_writer(move || into.clone());
        let format = fmt::format().without_time();
        let (telemetry, _captured) = Telemetry::captured(0.0, Outsiders::Strip);
        let traced = telemetry.tracer("sso").served("/a.B/C", None);
        let tell = || {
            trace::at(traced.as_ref(), || tracing::info!("within"));
            tracing::info!("without");
        };
        match closing {
            Closing::Text => {
                with_default(Registry::default().with(lines.event_format(Line::new(format, closing))), tell)
            }
            Closing::Json => {
                let lines = lines.fmt_fields(fmt::format::JsonFields::new());
                with_default(Registry::default().with(lines.event_format(Line::new(format.json(), closing))), tell);
            }
        }
        let bytes = written.0.lock().expect("unpoisoned").clone();
        String::from_utf8(bytes).expect("text").lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_line_says_which_trace_it_is_of() {
        let lines = written(Closing::Json).into_iter().map(|line| serde_json::from_str(&line).expect("an object"));
        let lines: Vec<serde_json::Value> = lines.collect();
        assert_eq!(lines[0]["fields"]["message"], "within");
        assert_eq!(lines[0]["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(lines[0]["span_id"].as_str().map(str::len), Some(16));
        assert_eq!((&lines[1]["fields"]["message"], lines[1].get("trace_id")), (&"without".into(), None));

        let lines = written(Closing::Text);
        assert!(lines[0].contains("within trace_id=") && lines[0].contains(" span_id="), "{lines:?}");
        assert!(lines[1].ends_with("without"), "{lines:?}");
    }
}

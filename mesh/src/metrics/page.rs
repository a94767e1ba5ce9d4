//! The text format of Prometheus, version 0.0.4.

use std::{collections::BTreeMap, fmt::Write as _};

/// A page under construction. Samples of one name may come from several places: they stand together in the end, as the format wants it.
#[derive(Debug, Default)]
pub(crate) struct Page(BTreeMap<&'static str, Family>);

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    lines: String,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// A value that goes up and down. `help` is one sentence; names are lower case with underscores and end in their base unit.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.one(name, help, "gauge", labels, value);
    }

    /// A value that only goes up. Its name ends in `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.one(name, help, "counter", labels, value);
    }

    /// A distribution: for each upper bound the number of values over the bound before.
    pub(crate) fn histogram<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = (&'a str, u64)>,
        sum: f64,
    ) {
        let lines = &mut self.family(name, help, "histogram").lines;
        let mut count = 0;
        for (bound, more) in buckets {
            count += more;
            line(lines, name, "_bucket", labels, Some(bound), count as f64);
        }
        line(lines, name, "_sum", labels, None, sum);
        line(lines, name, "_count", labels, None, count as f64);
    }

    /// A line of a distribution: `suffix` is `_bucket`, with `le` among the labels, `_sum` or `_count`.
    pub(crate) fn part(
        &mut self,
        name: &'static str,
        suffix: &str,
        help: &'static str,
        labels: Labels<'_>,
        value: f64,
    ) {
        line(&mut self.family(name, help, "histogram").lines, name, suffix, labels, None, value);
    }

    /// The page.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {}\n{}", family.help, family.kind, family.lines);
        }
        text
    }

    fn one(&mut self, name: &'static str, help: &'static str, kind: &'static str, labels: Labels<'_>, value: f64) {
        line(&mut self.family(name, help, kind).lines, name, "", labels, None, value);
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: &'static str) -> &mut Family {
        self.0.entry(name).or_insert_with(|| Family { help, kind, lines: String::new() })
    }
}

fn line(lines: &mut String, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
    let _ = write!(lines, "{name}{suffix}");
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let mut open = '{';
    for (label, text) in all {
        let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let _ = write!(lines, "{open}{label}=\"{text}\"");
        open = ',';
    }
    let _ = writeln!(lines, "{} {value}", if open == ',' { "}" } else { "" });
}

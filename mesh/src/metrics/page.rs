//! What a process counts and times, looked at once; and the text format of Prometheus, version 0.0.4.

use std::{collections::BTreeMap, fmt::Write as _};

/// A page under construction. Samples of one name may come from several places: they stand together in the end, as every format wants it. Names and labels
/// are Prometheus'.
#[derive(Debug, Default)]
pub(crate) struct Page(pub(super) BTreeMap<&'static str, Family>);

#[derive(Debug)]
pub(super) struct Family {
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<(&'static str, String)>,
    /// Of a distribution, the sum of its values.
    pub(super) value: f64,
    /// Of a distribution, for each upper bound the number of values over the bound before. The last bound is `+Inf`.
    pub(super) buckets: Vec<(&'static str, u64)>,
}

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    /// A value that goes up and down. `help` is one sentence; names are lower case with underscores and end in their base unit.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.add(name, help, Kind::Gauge, labels, value, Vec::new());
    }

    /// A value that only goes up. Its name ends in `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.add(name, help, Kind::Counter, labels, value, Vec::new());
    }

    /// A distribution: for each upper bound the number of values over the bound before, and the sum of all values.
    pub(crate) fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = (&'static str, u64)>,
        sum: f64,
    ) {
        self.add(name, help, Kind::Histogram, labels, sum, buckets.collect());
    }

    /// The page.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, samples }) in &self.0 {
            let kind = match kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            samples.iter().for_each(|sample| sample.write(name, &mut text));
        }
        text
    }

    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: Labels<'_>,
        value: f64,
        buckets: Vec<(&'static str, u64)>,
    ) {
        let labels = labels.iter().map(|(label, text)| (*label, (*text).to_owned())).collect();
        let family = self.0.entry(name).or_insert_with(|| Family { help, kind, samples: Vec::new() });
        family.samples.push(Sample { labels, value, buckets });
    }
}

impl Sample {
    fn write(&self, name: &str, text: &mut String) {
        if self.buckets.is_empty() {
            return self.line(name, "", None, self.value, text);
        }
        let mut count = 0;
        for (bound, more) in &self.buckets {
            count += more;
            self.line(name, "_bucket", Some(bound), count as f64, text);
        }
        self.line(name, "_sum", None, self.value, text);
        self.line(name, "_count", None, count as f64, text);
    }

    fn line(&self, name: &str, suffix: &str, bound: Option<&str>, value: f64, text: &mut String) {
        let _ = write!(text, "{name}{suffix}");
        let labels = self.labels.iter().map(|(label, value)| (*label, value.as_str()));
        let mut open = '{';
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(text, "{open}{label}=\"{value}\"");
            open = ',';
        }
        let _ = writeln!(text, "{} {value}", if open == ',' { "}" } else { "" });
    }
}

//! Transactions as spans. `db` knows no wire and says what it does as spans of `tracing`; this turns them into spans of the trace at hand.

use std::fmt::Debug;

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{Layer, filter::dynamic_filter_fn, layer::Context, registry::LookupSpan};

use super::span::Span;
use crate::otlp::spans::Kind;

/// What `db` calls its spans: their names, and the word for what was done.
const NAMES: [(&str, &str); 2] = [("db.read", "read"), ("db.write", "write")];

/// A layer that makes a span of each transaction of a call that is traced, and of nothing else: `write create_user`. Others cost a look.
pub fn database<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let is_ours = |metadata: &Metadata<'_>| metadata.is_span() && word(metadata.name()).is_some();
    let filter = dynamic_filter_fn(move |metadata, _: &Context<'_, S>| is_ours(metadata) && super::is_sampled())
        .with_max_level_hint(LevelFilter::DEBUG)
        .with_callsite_filter(move |metadata| match is_ours(metadata) {
            true => Interest::sometimes(),
            false => Interest::never(),
        });
    Transactions.with_filter(filter)
}

fn word(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(span, _)| *span == name).map(|(_, word)| *word)
}

struct Transactions;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Transactions {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (Some(current), Some(word)) = (super::current(), word(attributes.metadata().name())) else { return };
        let mut operation = Operation(None);
        attributes.record(&mut operation);
        let name = operation.0.unwrap_or_default();
        // A client's, as all spans of databases are that are not in memory.
        let made = current.tracer.within(&current.context, &format!("{word} {name}"), Kind::Client);
        if let (Some((_, mut span)), Some(data)) = (made, context.span(id)) {
            span.set("db.operation.name", name);
            attributes.record(&mut Fields(&mut span));
            data.extensions_mut().insert(span);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(data) = context.span(id) else { return };
        if let Some(span) = data.extensions_mut().get_mut::<Span>() {
            values.record(&mut Fields(span));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        // Dropped, it ends.
        let _ended = context.span(&id).and_then(|data| data.extensions_mut().remove::<Span>());
    }
}

/// The name of a transaction.
struct Operation(Option<String>);

impl Visit for Operation {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "operation" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// What else is told of it.
struct Fields<'a>(&'a mut Span);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "system" {
            self.0.set("db.system.name", value);
        }
    }

    /// A transaction that was refused by what it found has not failed.
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "ok" {
            self.0.set("plaza.db.ok", value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        match field.name() {
            "queue_us" => self.0.set("plaza.db.queue_us", value),
            "engine_us" => self.0.set("plaza.db.engine_us", value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

//! Who makes the spans of one service, and decides before it makes any.

use std::sync::Arc;

use super::{
    Current,
    context::{Context, SpanId, TraceId},
    queue::Queue,
    span::{RpcSpan, Span},
};
use crate::{
    clock::{Clock, Draws},
    otlp::{
        Resource,
        spans::{self, Kind},
    },
};

/// Makes the spans of one service, or none. Clones are one.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Source>>);

/// What the spans of one service have in common.
pub(crate) struct Source {
    pub(crate) clock: Clock,
    pub(crate) draws: Draws,
    /// The least 56 random bits of a trace that is sampled (W3C, level 2: those bits of its id are random).
    pub(crate) threshold: u64,
    pub(crate) believes_outsiders: bool,
    pub(crate) resource: Arc<Resource>,
    pub(crate) queue: Arc<Queue>,
}

/// A call that belongs to a trace, on either side of it, until its end.
pub(crate) struct Traced {
    current: Current,
    /// In a box, for most calls have none and each is moved about.
    span: Option<Box<RpcSpan>>,
}

impl Tracer {
    /// Makes no spans, passes no context on, and costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    pub(crate) fn new(source: Source) -> Self {
        Self(Some(Arc::new(source)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a caller from outside the mesh may say which trace it is in.
    pub(crate) fn believes_outsiders(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.believes_outsiders)
    }

    /// A call of the method at `path` that this service answers, in the trace of `parent` or else one of its own.
    pub(crate) fn served(&self, path: &str, parent: Option<Context>) -> Option<Traced> {
        self.traced(path, Kind::Server, parent)
    }

    /// A call of the method at `path` to another service, in the trace of the call being handled or else one of its own. Its attempts are the CLIENT
    /// spans, each the parent of a server's: of two nested ones, tools that draw service graphs would take the outer for a call that nobody answered.
    pub(crate) fn called(&self, path: &str) -> Option<Traced> {
        self.traced(path, Kind::Internal, super::current().map(|current| current.context))
    }

    fn traced(&self, path: &str, kind: Kind, parent: Option<Context>) -> Option<Traced> {
        let source = self.0.as_ref()?;
        let context = match &parent {
            None => source.root(),
            Some(parent) => source.child(parent),
        };
        let method = path.trim_start_matches('/');
        let span = context.sampled.then(|| {
            let span = Span::new(Arc::clone(source), method, kind, &context, parent.map(|parent| parent.span));
            Box::new(RpcSpan::new(span, kind, method))
        });
        Some(Traced { current: Current { tracer: self.clone(), context }, span })
    }

    /// A span within the one that `at` is, or nothing if its trace is not sampled.
    pub(crate) fn within(&self, at: &Context, name: &str, kind: Kind) -> Option<(Context, Span)> {
        let source = self.0.as_ref().filter(|_| at.sampled)?;
        let child = source.child(at);
        let span = Span::new(Arc::clone(source), name, kind, &child, Some(at.span));
        Some((child, span))
    }
}

impl Source {
    /// A trace that begins here.
    fn root(&self) -> Context {
        let (high, low) = (self.draws.next(), self.draws.next());
        let trace = TraceId((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        let sampled = low & ((1 << 56) - 1) >= self.threshold;
        Context { trace, span: self.span_id(), sampled, state: None }
    }

    /// The next place in a trace. One that is not sampled has no spans, so that its place stays the same.
    fn child(&self, parent: &Context) -> Context {
        let span = if parent.sampled { self.span_id() } else { parent.span };
        Context { span, ..parent.clone() }
    }

    fn span_id(&self) -> SpanId {
        // All zero is none.
        SpanId(self.draws.next().max(1).to_be_bytes())
    }

    pub(super) fn keep(&self, span: spans::Span) {
        self.queue.put(Arc::clone(&self.resource), span);
    }
}

impl Traced {
    /// For what the call does.
    pub(crate) fn current(&self) -> &Current {
        &self.current
    }

    /// Notes the outcome. The first counts.
    pub(crate) fn end(&mut self, code: tonic::Code) {
        if let Some(span) = &mut self.span {
            span.end(code);
        }
    }

    /// An attempt of the call at `path`: its span, if it has one, and what to send with it.
    pub(crate) fn attempt(&self, path: &str) -> (Context, Option<RpcSpan>) {
        let Current { tracer, context } = &self.current;
        let method = path.trim_start_matches('/');
        match tracer.within(context, method, Kind::Client) {
            Some((child, span)) => (child, Some(RpcSpan::new(span, Kind::Client, method))),
            None => (context.clone(), None),
        }
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

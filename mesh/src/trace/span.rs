//! Spans under construction, in the names of OpenTelemetry's conventions for RPC (release candidate, schema 1.42).

use std::sync::Arc;

use tonic::Code;

use super::{
    context::{Context, SpanId},
    tracer::Source,
};
use crate::{
    otlp::{
        KeyValue, Value, nanos,
        spans::{self, Kind, StatusCode},
    },
    wire,
};

/// A span that is being recorded. It ends when it is dropped.
pub(crate) struct Span {
    tracer: Arc<Source>,
    data: spans::Span,
}

impl Span {
    pub(super) fn new(tracer: Arc<Source>, name: &str, kind: Kind, at: &Context, parent: Option<SpanId>) -> Self {
        let data = spans::Span {
            trace_id: at.trace.0.to_vec(),
            span_id: at.span.0.to_vec(),
            trace_state: at.state().to_owned(),
            parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: nanos(tracer.clock.now()),
            flags: 1,
            ..spans::Span::default()
        };
        Self { tracer, data }
    }

    /// Notes an attribute. No secret and nothing of a person may be one.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.data.attributes.push(KeyValue::new(key, value));
    }

    /// What the span is about did not succeed.
    pub(crate) fn fail(&mut self, error: &str) {
        self.set("error.type", error);
        self.data.status = Some(spans::Status { code: StatusCode::Error.into() });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.data.end_time_unix_nano = nanos(self.tracer.clock.now());
        self.tracer.keep(std::mem::take(&mut self.data));
    }
}

/// The span of a call, or of an attempt of one. Without an outcome it was given up: CANCELLED.
pub(crate) struct RpcSpan {
    span: Span,
    kind: Kind,
    code: Option<Code>,
}

impl RpcSpan {
    /// `method` is `package.Service/Method`.
    pub(super) fn new(mut span: Span, kind: Kind, method: &str) -> Self {
        span.set("rpc.system.name", "grpc");
        span.set("rpc.method", method);
        Self { span, kind, code: None }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.span.set(key, value);
    }

    /// Notes the outcome. The first counts.
    pub(crate) fn end(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }
}

impl Drop for RpcSpan {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        self.span.set("rpc.response.status_code", wire::code_name(code));
        let failed = if self.kind == Kind::Server { wire::is_callees_fault(code) } else { code != Code::Ok };
        if failed {
            self.span.fail(wire::code_name(code));
        }
    }
}

//! Spans under construction, in the names of OpenTelemetry's conventions for RPC (release candidate, schema 1.42).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::Code;

use super::{
    context::{Context, SpanId},
    otlp::{self, KeyValue, Kind, StatusCode, Value},
    tracer::Inner,
};
use crate::wire;
use std::sync::Arc;

/// A span that is being recorded. It ends when it is dropped.
pub(crate) struct Span {
    tracer: Arc<Inner>,
    data: otlp::Span,
}

impl Span {
    pub(super) fn new(tracer: Arc<Inner>, name: &str, kind: Kind, at: &Context, parent: Option<SpanId>) -> Self {
        let data = otlp::Span {
            trace_id: at.trace.0.to_vec(),
            span_id: at.span.0.to_vec(),
            trace_state: at.state().to_owned(),
            parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: nanos(tracer.clock.now()),
            flags: 1,
            ..otlp::Span::default()
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
        self.data.status = Some(otlp::Status { code: StatusCode::Error.into() });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.data.end_time_unix_nano = nanos(self.tracer.clock.now());
        self.tracer.keep(std::mem::take(&mut self.data));
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
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
        if is_error(self.kind, code) {
            self.span.fail(wire::code_name(code));
        }
    }
}

/// Whether an outcome is an error of the span (semantic conventions for gRPC): for who calls whatever is not OK, for who is called what is its own fault. So
/// a wrong code is none of the server's.
fn is_error(kind: Kind, code: Code) -> bool {
    match kind {
        Kind::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
        _ => code != Code::Ok,
    }
}

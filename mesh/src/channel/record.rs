//! What is told of a call: it is counted, and it and its attempts are spans if its flow is traced.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue};
use tonic::Code;

use super::Shared;
use crate::{
    metrics::{Sent, Timed},
    trace::{RpcSpan, Traced},
    wire,
};

/// A call until its end. One that is dropped before was given up: CANCELLED.
pub(super) struct Record {
    path: &'static str,
    callee: &'static str,
    timed: Timed,
    // Before the call's, so that it ends first.
    attempt: AttemptSpan,
    traced: Option<Traced>,
}

/// The span of an attempt, if its flow is traced.
#[derive(Default)]
pub(super) struct AttemptSpan(Option<RpcSpan>);

impl Record {
    pub(super) fn begin(shared: &Shared, path: &'static str, callee: &'static str) -> Self {
        Self {
            path,
            callee,
            timed: shared.metrics.calls().begin(path),
            attempt: AttemptSpan::default(),
            traced: shared.tracer.called(path),
        }
    }

    /// A request goes out, after `previous` attempts that counted: the callee is told which span its own is within, and how many there were (gRFC A6).
    pub(super) fn sent(&mut self, why: Sent, previous: u32, headers: &mut HeaderMap) -> AttemptSpan {
        if previous > 0 {
            headers.insert(&wire::PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        }
        self.timed.sent(why);
        let Some(traced) = &self.traced else { return AttemptSpan::default() };
        let (context, mut span) = traced.attempt(self.path);
        if let Some(span) = &mut span {
            span.set("server.address", self.callee);
            // The names of gRFC A72.
            span.set("previous-rpc-attempts", i64::from(previous));
            span.set("transparent-retry", why == Sent::Transparent);
        }
        context.write(headers);
        AttemptSpan(span)
    }

    /// The attempt whose answer is the call's: its span lasts as long as the answer does.
    pub(super) fn answered_by(&mut self, attempt: AttemptSpan) {
        self.attempt = attempt;
    }

    /// Notes the outcome. The first counts.
    pub(super) fn end(&mut self, code: Code) {
        self.timed.end(code);
        self.attempt.end(code);
        if let Some(traced) = &mut self.traced {
            traced.end(code);
        }
    }
}

impl AttemptSpan {
    /// The attempt goes to the endpoint at `address`.
    pub(super) fn goes_to(&mut self, address: SocketAddr) {
        if let Some(span) = &mut self.0 {
            span.set("network.peer.address", address.ip().to_string());
            span.set("network.peer.port", i64::from(address.port()));
        }
    }

    /// Notes the outcome, and ends: the call may go on.
    pub(super) fn end(&mut self, code: Code) {
        if let Some(mut span) = self.0.take() {
            span.end(code);
        }
    }
}

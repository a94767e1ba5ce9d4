//! What is told of a call: it is counted, and it and its attempts are spans if its flow is traced.

use std::net::SocketAddr;

use http::HeaderMap;
use tonic::Code;

use super::Shared;
use crate::{
    metrics::{Sent, Timed},
    trace::{RpcSpan, Traced},
};

/// A call until its end. One that is dropped before was given up: CANCELLED.
pub(super) struct Record {
    path: &'static str,
    callee: &'static str,
    timed: Timed,
    // Before the call's, so that it ends first.
    attempt: Option<RpcSpan>,
    traced: Option<Traced>,
}

impl Record {
    pub(super) fn begin(shared: &Shared, path: &'static str, callee: &'static str) -> Self {
        Self {
            path,
            callee,
            timed: shared.metrics.calls().begin(path),
            attempt: None,
            traced: shared.tracer.called(path),
        }
    }

    /// A request goes out, after `previous` attempts that counted: the callee is told which span its own is within.
    pub(super) fn sent(&mut self, why: Sent, previous: u32, headers: &mut HeaderMap) {
        self.timed.sent(why);
        let Some(traced) = &self.traced else { return };
        let (context, mut span) = traced.attempt(self.path);
        if let Some(span) = &mut span {
            span.set("server.address", self.callee);
            // The names of gRFC A72.
            span.set("previous-rpc-attempts", i64::from(previous));
            span.set("transparent-retry", why == Sent::Transparent);
        }
        self.attempt = span;
        context.write(headers);
    }

    /// The attempt goes to the endpoint at `address`.
    pub(super) fn goes_to(&mut self, address: SocketAddr) {
        if let Some(span) = &mut self.attempt {
            span.set("network.peer.address", address.ip().to_string());
            span.set("network.peer.port", i64::from(address.port()));
        }
    }

    /// The attempt ended, and maybe not the call.
    pub(super) fn attempted(&mut self, code: Code) {
        if let Some(mut span) = self.attempt.take() {
            span.end(code);
        }
    }

    /// Notes the outcome. The first counts.
    pub(super) fn end(&mut self, code: Code) {
        self.timed.end(code);
        self.attempted(code);
        if let Some(traced) = &mut self.traced {
            traced.end(code);
        }
    }
}

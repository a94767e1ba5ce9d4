//! The request log: one line a call, with method, code and duration; never a body, never a token. What it tells is counted, too, and traced if the flow
//! is.

use std::sync::Arc;

use tonic::Code;

use crate::{
    metrics::{Calls, Timed},
    trace::{self, Traced},
};

/// One call. Writes its line when it is dropped, so that none is missed: a call whose caller went away is CANCELLED.
pub(super) struct Record {
    method: &'static str,
    code: Option<Code>,
    timed: Timed,
    traced: Option<Traced>,
}

impl Record {
    pub(super) fn begin(method: &'static str, calls: &Arc<Calls>) -> Self {
        Self { method, code: None, timed: calls.begin(method), traced: None }
    }

    /// The same, with its outcome.
    pub(super) fn ended(mut self, code: Code) -> Self {
        self.end(code);
        self
    }

    /// The call belongs to a trace.
    pub(super) fn trace(&mut self, traced: Option<Traced>) {
        self.traced = traced;
    }

    /// Its place in the trace.
    pub(super) fn traced(&self) -> Option<&Traced> {
        self.traced.as_ref()
    }

    /// Notes the outcome. The first counts.
    pub(super) fn end(&mut self, code: Code) {
        self.code.get_or_insert(code);
        self.timed.end(code);
        if let Some(traced) = &mut self.traced {
            traced.end(code);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (method, code) = (self.method, self.code.unwrap_or(Code::Cancelled));
        let ms = u64::try_from(self.timed.elapsed().as_micros()).unwrap_or(u64::MAX) as f64 / 1000.0;
        trace::at(self.traced.as_ref(), || {
            // Probes come every few seconds and say nothing.
            if method.starts_with("/grpc.") {
                tracing::debug!(target: "mesh::request", method, ?code, ms);
            } else {
                tracing::info!(target: "mesh::request", method, ?code, ms);
            }
        });
    }
}

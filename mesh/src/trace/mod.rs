//! One trace for each flow, across all services: the span of a call, those of its attempts, the callee's, and those of its transactions.
//!
//! Whether a flow is traced is decided where it begins, before a span is built, and travels with every call (W3C Trace Context). A [`Tracer`]
//! makes the spans of one service; [`crate::Telemetry`] sends them. Off, which is the default, none of it is there.

mod context;
mod database;
mod queue;
mod span;
#[cfg(test)]
pub(crate) mod tests;
mod tracer;

use std::future::Future;

pub use database::database;
pub use tracer::Tracer;

pub(crate) use context::Context;
pub(crate) use queue::{Ended, Queue};
pub(crate) use span::RpcSpan;
pub(crate) use tracer::{Source, Traced};

tokio::task_local! {
    static CURRENT: Option<Current>;
}

/// The place of the call being handled in its trace, and who makes its spans.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    tracer: Tracer,
    context: Context,
}

/// Where the call being handled is in its trace; `None` outside of a handler, and without telemetry.
pub(crate) fn current() -> Option<Current> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Runs `future` at a place in a trace.
pub(crate) async fn within<F: Future>(current: Option<Current>, future: F) -> F::Output {
    CURRENT.scope(current, future).await
}

/// As [`within`], for what is done at once.
pub(crate) fn at<T>(traced: Option<&Traced>, work: impl FnOnce() -> T) -> T {
    match traced {
        Some(traced) => CURRENT.sync_scope(Some(traced.current().clone()), work),
        None => work(),
    }
}

/// Runs `future` in the trace of the call being handled now: for a task that the handler spawns, which would have none.
pub fn inherit<F: Future>(future: F) -> impl Future<Output = F::Output> {
    within(current(), future)
}

/// The trace and the span that events belong to, for the log.
pub(crate) fn ids() -> Option<(String, String)> {
    CURRENT
        .try_with(|current| {
            current.as_ref().map(|Current { context, .. }| (context.trace.to_string(), context.span.to_string()))
        })
        .ok()
        .flatten()
}

/// Whether the call being handled is traced.
fn is_sampled() -> bool {
    CURRENT.try_with(|current| current.as_ref().is_some_and(|current| current.context.sampled)).unwrap_or(false)
}

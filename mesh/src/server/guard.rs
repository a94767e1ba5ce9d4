//! A panic in a handler is that call's INTERNAL, and nobody else's trouble.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use tonic::Status;

use crate::failure::Failure;

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

/// What `future` answers, or INTERNAL if it panics.
pub(super) async fn guarded<F: Future>(future: F) -> Result<F::Output, Status> {
    let mut future = pin!(future);
    poll_fn(|cx| match poll(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(status) => Poll::Ready(Err(status)),
    })
    .await
}

/// What `work` returns, or INTERNAL if it panics. What it borrowed must not be used again after a panic.
pub(super) fn poll<T>(work: impl FnOnce() -> T) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Failure::internal(Panicked(text(&*payload))).into())
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

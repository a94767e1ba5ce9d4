//! The answer on its way in: the deadline holds until its last byte.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status, body::Body};

use super::Inner;
use crate::{deadline::Deadline, failure::Failure, wire};

/// An answer's body that fails DEADLINE_EXCEEDED when the time is up.
pub(super) struct Received {
    inner: Body,
    deadline: Deadline,
    /// Whose retry budget an OK refills.
    channel: Arc<Inner>,
    /// Made when the body first has to be waited for.
    late: Option<Pin<Box<Sleep>>>,
}

impl Received {
    pub(super) fn new(inner: Body, deadline: Deadline, channel: Arc<Inner>) -> Self {
        Self { inner, deadline, channel, late: None }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.trailers_ref().and_then(wire::code) == Some(Code::Ok)
        {
            self.channel.throttle.succeeded();
        }
        if polled.is_ready() {
            return polled;
        }
        let instant = self.deadline.instant();
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(instant)));
        if late.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Dropping the rest tells the callee to stop.
        self.inner = Body::empty();
        Poll::Ready(Some(Err(Failure::late().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

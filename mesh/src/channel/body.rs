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

use super::{Inner, record::Record};
use crate::{deadline::Deadline, failure::Failure, wire};

/// An answer's body that fails DEADLINE_EXCEEDED when the time is up.
pub(super) struct Received {
    inner: Body,
    deadline: Deadline,
    /// Whose retry budget an OK refills.
    channel: Arc<Inner>,
    /// Made when the body first has to be waited for.
    late: Option<Pin<Box<Sleep>>>,
    record: Record,
}

impl Received {
    pub(super) fn new(inner: Body, deadline: Deadline, channel: Arc<Inner>, record: Record) -> Self {
        Self { inner, deadline, channel, late: None, record }
    }
}

/// How the call ended, if it did: with trailers, with a loss, or, against the protocol, without either.
fn outcome(frame: Option<&Result<Frame<Bytes>, Status>>) -> Option<Code> {
    match frame {
        Some(Ok(frame)) => frame.trailers_ref().map(|trailers| wire::code(trailers).unwrap_or(Code::Unknown)),
        Some(Err(status)) => Some(status.code()),
        None => Some(Code::Unknown),
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                let outcome = outcome(frame.as_ref());
                if let Some(code) = outcome {
                    self.record.end(code);
                    if code == Code::Ok {
                        self.channel.throttle.succeeded();
                    }
                }
                // An end that has come is one however late it is read; but what is read too slowly is not read for ever.
                if outcome.is_some() || !self.deadline.passed() {
                    return Poll::Ready(frame);
                }
            }
            Poll::Pending => {
                let instant = self.deadline.instant();
                let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(instant)));
                if late.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        // Dropping the rest tells the callee to stop.
        self.inner = Body::empty();
        self.record.end(Code::DeadlineExceeded);
        Poll::Ready(Some(Err(Failure::late().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

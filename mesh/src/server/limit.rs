//! Request messages have a longest length. tonic answers OUT_OF_RANGE at its own limit; this looks at the five bytes before
//! each message (gRPC over HTTP/2, Length-Prefixed-Message) and answers RESOURCE_EXHAUSTED before any of it is buffered. And nothing is read
//! of a request whose answer is over: reflection reads in a task of its own, which would last, with its stream, as long as the peer likes.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proto::mesh::v1::ErrorReason;
use tokio::sync::oneshot;
use tonic::{Code, Status, body::Body};

use super::admission;
use crate::failure::Failure;

const PREFIX: usize = 5;

/// Held as long as a call is answered.
pub(super) type Answering = oneshot::Sender<()>;

/// A request body that fails at the first message longer than `max` bytes, and ends with the answer.
pub(super) struct Limited {
    inner: Body,
    /// Of a request with many messages: ready when its [`Answering`] is dropped.
    over: Option<oneshot::Receiver<()>>,
    max: u32,
    prefix: [u8; PREFIX],
    /// How much of the prefix was seen.
    seen: usize,
    /// How much of the message is still to come.
    rest: usize,
}

impl Limited {
    pub(super) fn new(inner: Body, over: Option<oneshot::Receiver<()>>, max: u32) -> Self {
        Self { inner, over, max, prefix: [0; PREFIX], seen: 0, rest: 0 }
    }

    fn check(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(data.len());
                self.rest -= skipped;
                data = &data[skipped..];
                continue;
            }
            let taken = (PREFIX - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + taken].copy_from_slice(&data[..taken]);
            self.seen += taken;
            data = &data[taken..];
            if self.seen == PREFIX {
                self.seen = 0;
                self.rest = self.accept()? as usize;
            }
        }
        Ok(())
    }

    fn accept(&self) -> Result<u32, Status> {
        let [_, a, b, c, d] = self.prefix;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length <= self.max {
            return Ok(length);
        }
        let text = format!("the request has {length} bytes, the limit is {}", self.max);
        Err(Failure::mesh(Code::ResourceExhausted, ErrorReason::MessageTooLarge, text)
            .with("limit_bytes", self.max)
            .into())
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over.as_mut().is_some_and(|over| Pin::new(over).poll(cx).is_ready()) {
            (self.inner, self.over) = (Body::empty(), None);
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            admission::read();
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.check(data)
        {
            self.inner = Body::empty();
            return Poll::Ready(Some(Err(status)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

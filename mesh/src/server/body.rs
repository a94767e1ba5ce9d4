//! The answer on its way out: deadline, panic guard and request log hold until its last byte.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status, body::Body};

use super::{activity::Active, admission::Admitted, guard, record::Record};
use crate::{
    deadline::{self, Deadline},
    failure::Failure,
    shutdown::Shutdown,
    trace, wire,
};

/// An answer's body. Whatever goes wrong becomes trailers: an HTTP/2 reset would reach the caller as another code.
pub(super) struct Answer {
    inner: Body,
    deadline: Deadline,
    record: Record,
    /// Made when the body first has to be waited for; a unary answer never is.
    waiting: Option<Pin<Box<dyn Future<Output = Failure> + Send>>>,
    /// For a stream, the switch that ends it.
    stopping: Option<Shutdown>,
    ended: bool,
    /// What the call occupies until its end.
    _held: Held,
}

pub(super) type Held = (Admitted, Option<Active>);

impl Answer {
    pub(super) fn new(inner: Body, deadline: Deadline, record: Record, stopping: Option<Shutdown>, held: Held) -> Self {
        Self { inner, deadline, record, waiting: None, stopping, ended: false, _held: held }
    }

    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.inner = Body::empty();
        self.record.end(status.code());
        Poll::Ready(Some(Ok(Frame::trailers(wire::trailers(status)))))
    }

    fn passed_on(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                wire::bound(&mut trailers);
                self.record.end(wire::code(&trailers).unwrap_or(Code::Unknown));
                self.ended = true;
                Frame::trailers(trailers)
            }
            Err(data) => data,
        }
    }

    /// Ready when the call is to end although its handler would go on.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let (deadline, stopping) = (self.deadline, &self.stopping);
        let waiting = self.waiting.get_or_insert_with(|| {
            let late: Sleep = sleep_until(deadline.instant());
            match stopping.clone() {
                None => Box::pin(async move {
                    late.await;
                    Failure::late()
                }),
                Some(stopping) => Box::pin(async move {
                    tokio::select! {
                        () = late => Failure::late(),
                        () = stopping.begun() => Failure::unreachable("the service is stopping"),
                    }
                }),
            }
        });
        waiting.as_mut().poll(cx)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if this.deadline.passed() {
            return this.end(&Failure::late().into());
        }
        let inner = Pin::new(&mut this.inner);
        let traced = this.record.traced();
        match guard::poll(|| trace::at(traced, || deadline::polled(this.deadline, || inner.poll_frame(cx)))) {
            Err(panicked) => this.end(&panicked),
            Ok(Poll::Ready(Some(Ok(frame)))) => Poll::Ready(Some(Ok(this.passed_on(frame)))),
            Ok(Poll::Ready(Some(Err(status)))) => this.end(&status),
            Ok(Poll::Ready(None)) => {
                this.record.end(Code::Unknown);
                Poll::Ready(None)
            }
            Ok(Poll::Pending) => match this.poll_over(cx) {
                Poll::Ready(failure) => this.end(&failure.into()),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

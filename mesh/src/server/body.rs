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

use super::{activity::Active, admission::Admitted, guard, limit::Answering, record::Record};
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
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// For a stream, what ends it before its deadline.
    ends: Option<Ends>,
    ended: bool,
    /// What the call occupies until its end.
    _held: Held,
}

pub(super) type Held = (Admitted, Option<Active>, Option<Answering>);

/// What ends a stream before its deadline.
#[derive(Clone)]
pub(super) struct Ends {
    /// The service stops, unless the stream has something to say to that.
    pub(super) stopping: Option<Shutdown>,
    /// The connection ends, if it may before the call has to.
    pub(super) ending: Option<Shutdown>,
}

/// UNAVAILABLE: the call was still under way when its connection had to end.
pub(super) fn outlasted() -> Failure {
    Failure::unreachable("the connection has ended")
}

/// UNAVAILABLE: the call was a stream when the service had to end.
pub(super) fn stopping() -> Failure {
    Failure::unreachable("the service is stopping")
}

impl Answer {
    pub(super) fn new(inner: Body, deadline: Deadline, record: Record, ends: Option<Ends>, held: Held) -> Self {
        Self { inner, deadline, record, waiting: None, ends, ended: false, _held: held }
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

    /// Why the call is to end although its handler would go on.
    fn over(&self) -> Option<Failure> {
        if self.deadline.passed() {
            return Some(Failure::late());
        }
        let Ends { stopping, ending } = self.ends.as_ref()?;
        let begun = |switch: &Option<Shutdown>| switch.as_ref().is_some_and(Shutdown::is_begun);
        if begun(stopping) {
            return Some(self::stopping());
        }
        begun(ending).then(outlasted)
    }

    /// Ready when [`Answer::over`] has something to say.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (deadline, ends) = (self.deadline, &self.ends);
        let waiting = self.waiting.get_or_insert_with(|| {
            let late: Sleep = sleep_until(deadline.instant());
            match ends.clone() {
                None => Box::pin(late),
                Some(Ends { stopping, ending }) => Box::pin(async move {
                    tokio::select! {
                        () = late => {}
                        () = Shutdown::any_begun(stopping) => {}
                        () = Shutdown::any_begun(ending) => {}
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
        if let Some(failure) = this.over() {
            return this.end(&failure.into());
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
            Ok(Poll::Pending) => match this.poll_over(cx).map(|()| this.over()) {
                Poll::Ready(Some(failure)) => this.end(&failure.into()),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
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

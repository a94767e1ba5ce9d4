//! A connection's stream of bytes, watched for its first words.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// The length of the client's preface (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// A stream that tells when its peer has sent the preface, and comes back when it is dropped.
pub(crate) struct Line<S> {
    stream: Option<S>,
    read: usize,
    greeted: Option<oneshot::Sender<()>>,
    back: Option<oneshot::Sender<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// The stream, what tells of the preface, and where the stream comes back.
    pub(crate) fn new(stream: S) -> (Self, oneshot::Receiver<()>, oneshot::Receiver<S>) {
        let ((greeted, greeting), (back, returned)) = (oneshot::channel(), oneshot::channel());
        (Self { stream: Some(stream), read: 0, greeted: Some(greeted), back: Some(back) }, greeting, returned)
    }

    fn stream(&mut self) -> Pin<&mut S> {
        // It is taken only by drop.
        Pin::new(self.stream.as_mut().expect("there until it is dropped"))
    }
}

impl<S> Drop for Line<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody waits for it if the connection was cut.
            let _ = back.send(stream);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(cx, buffer))?;
        if self.greeted.is_some() {
            self.read += buffer.filled().len() - before;
            if self.read >= PREFACE {
                // Nobody waits for it once its time is up.
                let _ = self.greeted.take().map(|greeted| greeted.send(()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

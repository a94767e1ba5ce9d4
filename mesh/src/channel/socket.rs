//! One HTTP/2 connection to one address of a callee.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};
use tonic::body::Body;

use super::network::{Network, Stream};
use crate::{seldom::Seldom, tls::Tls};

type BoxError = Box<dyn Error + Send + Sync>;

/// The connection's own work, to be polled until the connection is over.
pub(super) type Driver = Pin<Box<http2::Connection<TokioIo<Spoken>, Body, TokioExecutor>>>;

/// What a callee has to prove, and by what.
pub(super) struct Proof<'a> {
    pub(super) tls: &'a Tls,
    /// Its name in the mesh.
    pub(super) callee: &'static str,
    /// Its host in the URI, which it is told in case it is several.
    pub(super) host: &'a str,
    /// The lines about it if it does not prove it.
    pub(super) refusals: &'a Seldom,
}

/// Connects, and waits for the callee's first word: HTTP/2 makes it say its SETTINGS at once (RFC 9113, 3.4), and one that
/// does not is no callee to send calls to.
///
/// # Errors
/// Of the network, of TLS, of HTTP/2, or that the callee closed before it spoke.
pub(super) async fn open(
    network: &Network,
    address: SocketAddr,
    proof: Option<Proof<'_>>,
    keepalive: (Duration, Duration),
) -> Result<(SendRequest<Body>, Driver), BoxError> {
    let (told, spoke) = oneshot::channel();
    let stream = network.dial(address).await?;
    let stream = match proof {
        None => stream,
        Some(Proof { tls, callee, host, refusals }) => Box::new(tls.connect(callee, host, stream, refusals).await?),
    };
    let stream = Spoken { stream, told: Some(told) };
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive.0)
        .keep_alive_timeout(keepalive.1)
        .max_header_list_size(16 * 1024)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut driver = Box::pin(connection);
    tokio::select! {
        ended = driver.as_mut() => {
            ended?;
            Err("closed before it spoke".into())
        }
        // Dropped untold, the stream has broken, and the driver is about to say how.
        Ok(()) = spoke => Ok((sender, driver)),
    }
}

/// A stream that tells of the first byte its peer sends, or that there will be none.
pub(super) struct Spoken {
    stream: Stream,
    told: Option<oneshot::Sender<()>>,
}

impl AsyncRead for Spoken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before
            && let Some(told) = self.told.take()
        {
            // Nobody waits for it any more once the connection timed out.
            let _ = told.send(());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Spoken {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! What a channel needs of the network: names become addresses, and addresses become streams of bytes. An input, so that
//! tests and simulations own it.

use std::{fmt, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;
type Resolve = dyn Fn(String, u16) -> BoxFuture<Vec<SocketAddr>> + Send + Sync;
type Dial = dyn Fn(SocketAddr) -> BoxFuture<Stream> + Send + Sync;

/// A stream of bytes to and from a peer.
pub(super) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

pub(super) type Stream = Box<dyn Bytes>;

/// How names are resolved and connections are made.
#[derive(Clone)]
pub struct Network {
    resolve: Arc<Resolve>,
    dial: Arc<Dial>,
}

impl Network {
    /// That of the operating system: its resolver, and TCP.
    pub fn system() -> Self {
        Self::of(
            |host: String, port| async move { Ok(lookup_host((host, port)).await?.collect()) },
            |address| async move {
                let stream = TcpStream::connect(address).await?;
                // Without it, small requests wait for the peer's delayed acknowledgement.
                stream.set_nodelay(true)?;
                Ok(stream)
            },
        )
    }

    /// One that resolves a host and port with `resolve`, and connects to an address with `dial`. Both may be dropped at any
    /// await.
    pub fn of<R, A, D, C, S>(resolve: R, dial: D) -> Self
    where
        R: Fn(String, u16) -> A + Send + Sync + 'static,
        A: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
        D: Fn(SocketAddr) -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let dial = move |address| -> BoxFuture<Stream> {
            let stream = dial(address);
            Box::pin(async move { Ok(Box::new(stream.await?) as Stream) })
        };
        Self { resolve: Arc::new(move |host, port| Box::pin(resolve(host, port))), dial: Arc::new(dial) }
    }

    pub(super) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.resolve)(host.to_owned(), port).await
    }

    pub(super) async fn dial(&self, address: SocketAddr) -> io::Result<Stream> {
        (self.dial)(address).await
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

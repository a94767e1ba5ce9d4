//! A server in a process of its own.

use std::{
    error::Error,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::mesh::{Port, Shutdown, Threads, bind, threads};
use clap::{Args, ValueEnum};
use proto::social::v1::profile_service_server::ProfileServiceServer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{
    self,
    server::{Connected, TcpIncoming},
};

use super::{
    certificates,
    service::{CALLEE, Callee, nothing, router},
    traces::Traces,
};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// tonic's own.
    Bare,
    /// The same over mutual TLS.
    Secure,
    /// The mesh's, over mutual TLS.
    Mesh,
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    kind: Kind,
    /// Where the certificates are
    folder: PathBuf,
    /// One thread rather than one a core
    #[arg(long)]
    one_thread: bool,
    #[command(flatten)]
    traces: Traces,
}

/// Prints the address, and serves until the process is told to end: on the runtime that is each server's own, or on one thread.
pub(crate) fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.one_thread {
        return Builder::new_current_thread().enable_all().build()?.block_on(serve(arguments, Threads::default()));
    }
    match arguments.kind {
        Kind::Bare | Kind::Secure => Runtime::new()?.block_on(serve(arguments, Threads::default())),
        Kind::Mesh => threads::run(|threads| serve(arguments, threads))?,
    }
}

async fn serve(arguments: Arguments, threads: Threads) -> Result<(), Box<dyn Error>> {
    let listener = bind("127.0.0.1:0").await?;
    crate::println(&listener.local_addr()?.to_string());
    let shutdown = Shutdown::on_signals()?;
    let server = transport::Server::builder().add_service(ProfileServiceServer::new(Callee(nothing)));
    match arguments.kind {
        Kind::Bare => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server.serve_with_incoming_shutdown(incoming, shutdown.begun()).await?;
        }
        Kind::Secure => {
            let acceptor = TlsAcceptor::from(Arc::new(certificates::server(&arguments.folder)?));
            let (send, incoming) = mpsc::channel(16);
            tokio::spawn(accept(listener, acceptor, send));
            server.serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown.begun()).await?;
        }
        Kind::Mesh => {
            let tls = certificates::mesh(&arguments.folder, CALLEE)?;
            let port = Port { listener, tls, threads };
            router(nothing, arguments.traces.tracer(CALLEE)?)?.serve(port, shutdown).await?;
        }
    }
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, send: mpsc::Sender<io::Result<Secure>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        if send.send(acceptor.accept(stream).await.map(Secure)).await.is_err() {
            return;
        }
    }
}

/// What tonic's own TLS would hand it.
struct Secure(TlsStream<tokio::net::TcpStream>);

impl Connected for Secure {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Secure {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

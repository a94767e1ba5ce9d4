//! A router over a socket: accept, serve, and stop within a bound. tonic's own graceful stop has none.

use std::{io, net::IpAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};

use super::{Router, activity::LAST_ANSWERS, connection};
use crate::{access::ClientAddress, door::Door, shutdown::Shutdown, threads::Threads, tls::Tls};

/// A port that was taken: in plain text, served by the thread that accepts, unless it is said otherwise.
#[derive(Debug)]
pub struct Port {
    /// Where connections come in.
    pub listener: TcpListener,
    /// With it, callers are known by their certificates, and those who show none are nobody.
    pub tls: Option<Tls>,
    /// Who serves the connections.
    pub threads: Threads,
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, threads: Threads::default() }
    }
}

impl Router {
    /// Serves HTTP/2 with prior knowledge on `port` until `shutdown` begins; then tells probes NOT_SERVING, stops
    /// accepting, ends streams with UNAVAILABLE, and lets the other calls finish for [`super::Limits::drain`] at most. What
    /// is left then is answered UNAVAILABLE, too, and cut half a second later.
    ///
    /// # Errors
    /// If the listener has no local address. A connection that fails is that connection's end alone.
    pub async fn serve(self, port: impl Into<Port>, shutdown: Shutdown) -> io::Result<()> {
        let port = port.into();
        tracing::info!(address = %port.listener.local_addr()?, tls = port.tls.is_some(), "serving");
        port.tls.iter().for_each(|tls| self.secured_by(tls));
        let mut connections = JoinSet::new();
        tokio::select! {
            () = shutdown.begun() => {}
            () = self.accept(port, &mut connections) => {}
        }
        self.drain(connections).await;
        Ok(())
    }

    /// Serves one connection that somebody else has accepted from the host `from`, in plain text, until it ends: where connections are
    /// no sockets, as in a simulation.
    pub async fn serve_stream<S>(&self, stream: S, from: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        connection::speak(stream, ClientAddress(from.to_canonical()), None, self.clone()).await;
    }

    async fn accept(&self, Port { listener, tls, threads }: Port, connections: &mut JoinSet<()>) {
        let door = Door::new(listener, self.limits().connections as usize);
        loop {
            let (stream, place) = door.next().await;
            while connections.try_join_next().is_some() {}
            let (router, tls) = (self.clone(), tls.clone());
            threads.serve(stream, connections, async move |stream| {
                connection::serve(stream, tls, router).await;
                drop(place);
            });
        }
    }

    async fn drain(&self, connections: JoinSet<()>) {
        self.stopping().begin();
        self.finish(connections).await;
    }

    /// Waits for connections that were told that the service stops, and cuts those that are left when their time is over.
    pub(crate) async fn finish(&self, mut connections: JoinSet<()>) {
        let finished = async { while connections.join_next().await.is_some() {} };
        if timeout(self.limits().drain + LAST_ANSWERS, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut what did not finish in time");
            connections.shutdown().await;
        }
    }
}

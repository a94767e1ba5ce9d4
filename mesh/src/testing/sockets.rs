//! Servers on real sockets.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};

use super::{Echo, Keys};
use crate::{
    Shutdown,
    server::{Limits, Port, Stack, bind},
    tls::Tls,
};

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    served: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops as a service does, and says how long that took.
    pub(crate) async fn stop(self) -> Duration {
        let began = Instant::now();
        self.shutdown.begin();
        self.served.await.expect("no panic").expect("served");
        began.elapsed()
    }

    /// Ends at once, in the middle of whatever goes on.
    pub(crate) async fn kill(self) {
        self.served.abort();
        let _ = self.served.await;
    }
}

/// Serves on any free port.
pub(crate) async fn serve(echo: Echo, keys: &Keys, limits: Limits) -> Running {
    serve_at("127.0.0.1:0", echo, keys, limits).await
}

/// Serves on a port that is known to be free.
pub(crate) async fn serve_at(address: &str, echo: Echo, keys: &Keys, limits: Limits) -> Running {
    serve_there(address, echo, Stack { limits, ..keys.stack() }, None).await
}

/// Serves over mutual TLS.
pub(crate) async fn serve_secure(address: &str, echo: Echo, keys: &Keys, limits: Limits, tls: &Tls) -> Running {
    serve_there(address, echo, Stack { limits, ..keys.stack() }, Some(tls.clone())).await
}

/// Serves on any free port, in the surroundings of `stack`.
pub(crate) async fn serve_stack(echo: Echo, stack: Stack) -> Running {
    serve_there("127.0.0.1:0", echo, stack, None).await
}

async fn serve_there(address: &str, echo: Echo, stack: Stack, tls: Option<Tls>) -> Running {
    let listener = bind(address).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let router = echo.router(stack);
    let shutdown = Shutdown::manual();
    let served = tokio::spawn(router.serve(Port { tls, ..listener.into() }, shutdown.clone()));
    Running { address, shutdown, served }
}

/// A way to a server that can be frozen: connections stay open, and nothing moves on them.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    frozen: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let frozen = watch::Sender::new(false);
        let freezing = frozen.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut freezing = freezing.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = freezing.wait_for(|frozen| *frozen) => {}
                    }
                    let _ = freezing.wait_for(|frozen| !frozen).await;
                });
            }
        });
        Self { address, frozen, task }
    }

    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! Taking a port.

use std::io;

use tokio::net::TcpListener;

/// Why a port could not be taken. The text names the port.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("port {port} is taken: another program listens on {address}; stop it, or configure another address")]
    Taken {
        /// The port.
        port: u16,
        /// The whole address.
        address: String,
    },
    /// The address is none, or the operating system refuses it.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address as configured.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Listens on `address` (`127.0.0.1:50051`; port 0 takes any free one).
///
/// # Errors
/// See [`BindError`].
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { port: port(address), address: address.to_owned() },
        _ => BindError::Refused { address: address.to_owned(), source },
    })
}

fn port(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
}

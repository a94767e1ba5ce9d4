//! The two sides of a handshake, and the one line that says who was refused and why.

use std::{cell::RefCell, error::Error, fmt, io, iter::successors, sync::Arc, time::Duration};

use rustls::{CertificateError, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{Tls, trust::PRESENTED};
use crate::{access::Known, failure::chain, farewell::hear_out, seldom::Seldom};

/// How long a peer that connected may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A handshake that came to nothing.
struct Refused<S> {
    /// What the other side's certificate says it is; `None` if it showed none.
    presented: Option<String>,
    error: io::Error,
    stream: S,
}

impl Tls {
    /// The caller's side of a new connection is let in, and known by its certificate or nobody; `None` if it was refused, which the log says.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<(server::TlsStream<TcpStream>, Known)> {
        let from = stream.peer_addr().ok();
        let material = self.material();
        let acceptor = TlsAcceptor::from(Arc::clone(&material.server));
        let stream = match timeout(HANDSHAKE, shown(acceptor.accept(stream).into_fallible())).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(refused)) => {
                refused.log_caller(&Shown(from), &self.0.refusals);
                // It has sent its first call by now, and is to read the alert that says why.
                hear_out(refused.stream).await;
                return None;
            }
            Err(_) => {
                tracing::debug!(from = %Shown(from), "no handshake in time");
                return None;
            }
        };
        let known = match stream.get_ref().1.peer_certificates().and_then(<[_]>::first) {
            None => Known::Nobody,
            // The verifier has read the same name.
            Some(certificate) => Known::Peer(material.peer(certificate).ok()?.into()),
        };
        Some((stream, known))
    }

    /// A connection to `callee`, which has proved that it is, and to which this service has proved itself.
    ///
    /// # Errors
    /// If it has not, which the log says too, as seldom as `refusals` lets it.
    pub(crate) async fn connect<S>(
        &self,
        callee: &'static str,
        host: &str,
        stream: S,
        refusals: &Seldom,
    ) -> io::Result<client::TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.material().client(callee).map_err(io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config));
        shown(connector.connect(name, stream).into_fallible()).await.map_err(|refused| {
            let presented = refused.presented.as_deref().unwrap_or("no certificate");
            let error = why(&refused.error);
            if !refused.is_of_tls() {
                tracing::debug!(callee, host, error, "a handshake was cut off");
            } else if let Some(left_out) = refusals.may() {
                tracing::warn!(callee, host, presented, error, left_out, "a callee was refused");
            }
            io::Error::new(refused.error.kind(), error)
        })
    }
}

impl<S> Refused<S> {
    /// Whether either side refused the other: a connection that merely ended, as at a restart, says nothing of certificates.
    fn is_of_tls(&self) -> bool {
        self.error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
    }

    fn log_caller(&self, from: &Shown, lines: &Seldom) {
        let error = why(&self.error);
        match &self.presented {
            Some(presented) if self.is_of_tls() => {
                if let Some(left_out) = lines.may() {
                    tracing::warn!(%from, presented, error, left_out, "a caller was refused");
                }
            }
            // Whatever knocks on an open port.
            _ => tracing::debug!(%from, error, "a handshake failed"),
        }
    }
}

/// The handshake, with what the other side showed in it if it fails.
async fn shown<T, S>(handshake: impl Future<Output = Result<T, (io::Error, S)>>) -> Result<T, Refused<S>> {
    let noted = async {
        let presented = || PRESENTED.with(RefCell::take);
        handshake.await.map_err(|(error, stream)| Refused { presented: presented(), error, stream })
    };
    PRESENTED.scope(RefCell::default(), noted).await
}

struct Shown(Option<std::net::SocketAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("somebody who left"),
        }
    }
}

/// Whether the other side ended the connection because of this side's certificate: in TLS 1.3 a caller learns that only after its handshake.
pub(crate) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut causes = successors(Some(error), |&error| error.source());
    // On its way through h2, an error of the stream keeps its kind and its text alone.
    causes.any(|error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData && io.to_string().contains("received fatal alert"))
    })
}

/// Why a handshake came to nothing, in one line.
fn why(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(misnamed))) => misnamed.to_string(),
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "no authority among the roots signed it".to_owned()
        }
        _ => chain(error),
    }
}

//! TLS 1.3 to the server, as strict as libpq's `sslmode` of the same name.

use crate::OpenError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is asked of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// Plain text.
    Disable,
    /// TLS where the server has it, with whoever answers; plain text where not. libpq's default, and no defence against whoever can answer.
    #[default]
    Prefer,
    /// TLS, with whoever answers; with roots, as [`Mode::VerifyCa`].
    Require,
    /// TLS with whom a root vouches for, whatever the name.
    VerifyCa,
    /// TLS with whom a root vouches for under the host's own name.
    VerifyFull,
}

impl Mode {
    pub(super) fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            // `allow` would have to be turned away once before it speaks TLS.
            _ => return Err("sslmode is none of disable, prefer, require, verify-ca and verify-full".to_owned()),
        })
    }

    /// Whether there is TLS; the certificate is checked by the connector.
    pub(super) fn of_driver(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// What makes a connection one of TLS. `roots` is a file of PEM certificates, read once.
pub(super) fn connector(mode: Mode, roots: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let refused = |why: &str| Err(OpenError::Url(why.to_owned()));
    let roots = match (mode, roots) {
        (Mode::Disable | Mode::Prefer, Some(_)) => {
            return refused("sslrootcert checks nothing unless sslmode is require, verify-ca or verify-full");
        }
        (Mode::VerifyCa | Mode::VerifyFull, None) => {
            return refused("sslmode=verify-ca and verify-full need sslrootcert, a file of PEM certificates");
        }
        (_, roots) => roots.map(store).transpose()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| OpenError::Connect(error.to_string()))?;
    let mut config = match (mode, roots) {
        (Mode::VerifyFull, Some(roots)) => builder.with_root_certificates(roots).with_no_client_auth(),
        (_, roots) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyName { roots, algorithms }))
            .with_no_client_auth(),
    };
    // What a server that begins with TLS (sslnegotiation=direct) insists on.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn store(path: &Path) -> Result<RootCertStore, OpenError> {
    let failed = |cause: std::io::Error| OpenError::File { path: path.into(), cause };
    let invalid = |error: &dyn std::fmt::Display| failed(std::io::Error::other(error.to_string()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| invalid(&error))? {
        roots.add(certificate.map_err(|error| invalid(&error))?).map_err(|error| invalid(&error))?;
    }
    if roots.is_empty() { Err(invalid(&"it has no certificate")) } else { Ok(roots) }
}

/// Believes any name: with roots, of whom they vouch for; without, of anyone who has the certificate's key.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

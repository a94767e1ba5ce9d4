//! What the files hold, checked as a whole before any of it is used.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{ResolvesClientCert, Resumption},
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject as _},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::TLS13,
};
use webpki::{EndEntityCert, KeyUsage};

use super::{
    config::Files,
    name::{self, Misnamed},
    trust::{Callee, Callers},
};
use crate::clock::Clock;

/// HTTP/2, the only protocol of gRPC (RFC 7301).
const ALPN: &[u8] = b"h2";
const TEN_YEARS: u64 = 10 * 365 * 24 * 3600;

/// Why certificates are not used, or plain text is not spoken. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Some files are named and others are not.
    #[error("[tls] is half said: tls.{0} is empty")]
    Partial(String),
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is not the certificate's, or the two cannot be used.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(rustls::Error),
    /// Plain text where others could read it.
    #[error(
        "listen is {0}, which other machines can reach, and [tls] names no certificate: set tls.certificate, tls.key and tls.roots \
         (`plaza certs` makes them for development), or listen on 127.0.0.1, or say tls.plain_text = \"allowed\""
    )]
    PlainListener(SocketAddr),
    /// A call in plain text where others could read it.
    #[error(
        "{callee} at {uri} would be called in plain text: write https://, with tls.certificate, tls.key and tls.roots set \
         (`plaza certs` makes them for development), or say tls.plain_text = \"allowed\""
    )]
    PlainCallee {
        /// Who would be called.
        callee: &'static str,
        /// Where.
        uri: String,
    },
    /// A call in plain text by a service that has no key either to say who it is.
    #[error("{callee} at {uri} would not know who calls: name a keys.mesh_file, or write https://")]
    Unsigned {
        /// Who would be called.
        callee: &'static str,
        /// Where.
        uri: String,
    },
    /// A call over TLS without a certificate of one's own.
    #[error(
        "{callee} at {uri} wants a certificate: set tls.certificate, tls.key and tls.roots (`plaza certs` makes them for development)"
    )]
    NoCertificate {
        /// Who would be called.
        callee: &'static str,
        /// Where.
        uri: String,
    },
    /// Not where a service can be.
    #[error("{callee} cannot be at {uri:?}: write https://host:port, or http://127.0.0.1:port")]
    Uri {
        /// Who would be called.
        callee: &'static str,
        /// Where.
        uri: String,
    },
}

/// What connections begin with.
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    pub(super) roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    /// What this service shows of itself as a caller.
    pub(super) shown: Arc<dyn ResolvesClientCert>,
    time: Arc<Time>,
    domain: String,
    /// Until when others believe the certificate.
    pub(super) end: SystemTime,
}

/// The files, read and not believed yet.
struct Pieces {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Pieces {
    fn read(files: &Files) -> Result<Self, TlsError> {
        let (roots, chain, key) = (roots(&files.roots)?, certificates(&files.certificate)?, key(&files.key)?);
        Ok(Self { roots: Arc::new(roots), chain, key })
    }
}

impl Material {
    pub(super) fn read(service: &str, files: &Files, clock: &Clock) -> Result<Self, TlsError> {
        let pieces = Pieces::read(files)?;
        let now = Time(clock.clone()).now();
        believable(&pieces, service, &files.trust_domain, now)
            .map_err(|problem| TlsError::Content { path: files.certificate.clone(), problem })?;
        let end = end(&pieces, now);
        Self::assemble(pieces, files, clock, end)
    }

    /// What others should not believe, for tests of whether they do.
    #[cfg(test)]
    pub(super) fn unchecked(files: &Files, clock: &Clock) -> Result<Self, TlsError> {
        Self::assemble(Pieces::read(files)?, files, clock, UNIX_EPOCH)
    }

    fn assemble(pieces: Pieces, files: &Files, clock: &Clock, end: SystemTime) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let time = Arc::new(Time(clock.clone()));
        let Pieces { roots, chain, key } = pieces;
        // The provider is named, as a second one in the program would leave none the default. It also sees that key and certificate are a pair.
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Pair)?;
        let own = Arc::new(SingleCertAndKey::from(pair));
        let server = server(&provider, &time, &roots, &own, &files.trust_domain).map_err(TlsError::Pair)?;
        let domain = files.trust_domain.clone();
        Ok(Self { server: Arc::new(server), roots, provider, shown: own, time, domain, end })
    }

    /// What a connection to `callee` begins with.
    pub(super) fn client(&self, callee: &'static str) -> Result<ClientConfig, rustls::Error> {
        let verifier = Callee::new(Arc::clone(&self.roots), &self.provider, &self.domain, callee);
        let (provider, time) = (Arc::clone(&self.provider), Arc::clone(&self.time));
        let mut config = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&self.shown));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The service whose certificate the verifier has just believed.
    pub(super) fn peer(&self, certificate: &CertificateDer<'_>) -> Result<String, Misnamed> {
        name::service(certificate, &self.domain)
    }
}

/// What a connection begins with to whoever is no service of Plaza's: believed under `roots`, by the name of its host (RFC 9525), and shown no certificate.
///
/// # Errors
/// If the file cannot be read, or has no certificates in it.
pub(crate) fn outward(path: &Path, clock: &Clock) -> Result<ClientConfig, TlsError> {
    let (provider, time) = (Arc::new(ring::default_provider()), Arc::new(Time(clock.clone())));
    let builder = ClientConfig::builder_with_details(provider, time).with_protocol_versions(&[&TLS13]);
    let mut config = builder.map_err(TlsError::Pair)?.with_root_certificates(roots(path)?).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn server(
    provider: &Arc<CryptoProvider>,
    time: &Arc<Time>,
    roots: &Arc<RootCertStore>,
    own: &Arc<SingleCertAndKey>,
    domain: &str,
) -> Result<ServerConfig, rustls::Error> {
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let chain = chain.allow_unauthenticated().build().map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(Arc::clone(provider), Arc::clone(time) as _)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(Callers::new(chain, domain)))
        .with_cert_resolver(Arc::clone(own) as _);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A session that is resumed brings the certificate of its beginning along, and nobody would look at it again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether others will believe the certificate: they have the same roots.
fn believable(pieces: &Pieces, service: &str, domain: &str, now: UnixTime) -> Result<(), String> {
    let own = pieces.chain.first().ok_or("no certificate in it")?;
    name::expect(own, domain, service).map_err(|error| error.to_string())?;
    holds(pieces, now)
}

/// Until when the certificate holds, by the second, and ten years from `now` at most. webpki tells whether one holds at a time, and not for how long: it is
/// asked by halves.
fn end(pieces: &Pieces, now: UnixTime) -> SystemTime {
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let (mut good, mut bad) = (now.as_secs(), now.as_secs() + TEN_YEARS);
    while bad - good > 1 {
        let between = good + (bad - good) / 2;
        match holds(pieces, at(between)) {
            Ok(()) => good = between,
            Err(_) => bad = between,
        }
    }
    UNIX_EPOCH + Duration::from_secs(good)
}

fn holds(pieces: &Pieces, now: UnixTime) -> Result<(), String> {
    let (own, between) = pieces.chain.split_first().ok_or("no certificate in it")?;
    let parsed = EndEntityCert::try_from(own).map_err(|error| error.to_string())?;
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        parsed
            .verify_for_usage(algorithms, &pieces.roots.roots, between, now, usage, None, None)
            .map_err(|error| format!("it does not hold under the roots: {error}"))?;
    }
    Ok(())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Content { path: path.to_owned(), problem: error.to_string() })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let refuse = |problem| TlsError::Content { path: path.to_owned(), problem };
    match read {
        Ok(certificates) if certificates.is_empty() => Err(refuse("no certificate in it".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let refuse = |problem| TlsError::Content { path: path.to_owned(), problem };
    let metadata = fs::metadata(path).map_err(|error| TlsError::File { path: path.to_owned(), error })?;
    // A group may read it: that is how a container gets a secret that is mounted for it.
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(refuse("may be read by everybody (chmod 600 it)".to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| refuse(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error })
}

/// Certificates begin and end by the same clock as all else.
#[derive(Debug)]
pub(super) struct Time(Clock);

impl Time {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(self.0.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

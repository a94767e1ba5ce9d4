//! What a certificate calls its service (gRFC A87; SPIFFE, X509-SVID): exactly one URI among its subject alternative names, and that a SPIFFE id.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::failure::cut;

/// The most bytes of a certificate's names that a line of the log has.
const CLAIMED: usize = 160;

/// Why a certificate names no service of this trust domain.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misnamed {
    #[error("the certificate cannot be read: {0}")]
    Unreadable(webpki::Error),
    #[error("the certificate has {0} URIs among its names; it must have exactly one")]
    Count(usize),
    #[error("{0:?} is not of the form spiffe://<trust domain>/<service>")]
    Form(String),
    #[error("{named:?} is of another trust domain than {domain:?}")]
    Domain { named: String, domain: String },
    #[error("{named:?} is not the expected {expected:?}")]
    Other { named: String, expected: String },
}

/// The service that a certificate names, in `domain`. Whether the certificate holds is another question.
pub(super) fn service(certificate: &CertificateDer<'_>, domain: &str) -> Result<String, Misnamed> {
    let uris = uris(certificate)?;
    let [uri] = uris.as_slice() else { return Err(Misnamed::Count(uris.len())) };
    let form = || Misnamed::Form(uri.clone());
    let (named, service) = uri.strip_prefix("spiffe://").and_then(|id| id.split_once('/')).ok_or_else(form)?;
    if service.is_empty()
        || !service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return Err(form());
    }
    if named != domain {
        return Err(Misnamed::Domain { named: uri.clone(), domain: domain.to_owned() });
    }
    Ok(service.to_owned())
}

/// That the certificate is `expected`'s.
pub(super) fn expect(certificate: &CertificateDer<'_>, domain: &str, expected: &str) -> Result<(), Misnamed> {
    let named = service(certificate, domain)?;
    match named == expected {
        true => Ok(()),
        false => Err(Misnamed::Other { named: id(domain, &named), expected: id(domain, expected) }),
    }
}

/// A service's SPIFFE id.
pub(super) fn id(domain: &str, service: &str) -> String {
    format!("spiffe://{domain}/{service}")
}

/// What a certificate says it is, believed or not: for logs, and cut, since it may say a lot.
pub(super) fn claimed(certificate: &CertificateDer<'_>) -> String {
    match uris(certificate) {
        Ok(uris) if uris.is_empty() => "a certificate without a URI".to_owned(),
        Ok(uris) => cut(uris.join(", "), CLAIMED),
        Err(error) => error.to_string(),
    }
}

fn uris(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Misnamed> {
    let certificate = EndEntityCert::try_from(certificate).map_err(Misnamed::Unreadable)?;
    Ok(certificate.valid_uri_names().map(str::to_owned).collect())
}

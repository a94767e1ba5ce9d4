//! Authorities and certificates, good and bad, in a folder.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::Keys;
use crate::tls::{Tls, TlsConfig};

/// The trust domain of the tests.
pub(crate) const DOMAIN: &str = "test.plaza";

/// Someone who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("signs itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate with these URIs among its names, good from 1975 to 4096.
    pub(crate) fn sign(&self, uris: &[&str]) -> Signed {
        self.sign_for(uris, (160_000_000, 67_090_000_000))
    }

    /// A certificate of a service of [`DOMAIN`].
    pub(crate) fn service(&self, name: &str) -> Signed {
        self.sign(&[&format!("spiffe://{DOMAIN}/{name}")])
    }

    /// As [`Authority::sign`], good within these seconds since 1970.
    pub(crate) fn sign_for(&self, uris: &[&str], within: (i64, i64)) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
        (params.not_before, params.not_after) = (at(within.0), at(within.1));
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ASCII"))).collect();
        let certificate = params.signed_by(&key, &self.issuer).expect("signs").pem();
        Signed { certificate, key: key.serialize_pem() }
    }
}

/// The files of a service.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(signed: &Signed, roots: &[&Authority]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write(signed);
        folder.roots(roots);
        folder
    }

    pub(crate) fn write(&self, signed: &Signed) {
        self.put("own.key", &signed.key);
        self.put("own.pem", &signed.certificate);
    }

    pub(crate) fn roots(&self, roots: &[&Authority]) {
        self.put("roots.pem", &roots.iter().map(|root| root.pem()).collect::<String>());
    }

    /// Replaces a file as a whole.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let aside = self.0.path().join("aside");
        fs::write(&aside, text).expect("written");
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).expect("its own");
        fs::rename(aside, self.path().join(name)).expect("renamed");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn config(&self) -> TlsConfig {
        let path = |name| self.path().join(name);
        TlsConfig {
            certificate: path("own.pem"),
            key: path("own.key"),
            roots: path("roots.pem"),
            trust_domain: DOMAIN.to_owned(),
            ..TlsConfig::none()
        }
    }

    pub(crate) fn load(&self, service: &'static str, keys: &Keys) -> Tls {
        Tls::load(service, &self.config(), &keys.clock).expect("holds").expect("there")
    }
}

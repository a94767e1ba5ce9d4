//! Mutual TLS between services. A certificate names its service by one SPIFFE id, `spiffe://<trust domain>/<service>`, and nothing else does;
//! what that service may call is the method's policy. Callers without a certificate are let in as nobody: persons have tokens instead.
//!
//! Certificate, key and roots are read again when their files change, all or nothing. A connection keeps what it began with, so that its
//! longest age has to be shorter than the overlap of old and new certificates.

mod config;
mod handshake;
mod material;
mod name;
mod reload;
#[cfg(test)]
mod tests;
mod trust;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

pub use config::{PlainText, TlsConfig};
pub(crate) use handshake::is_refusal;
pub use material::TlsError;
pub(crate) use material::outward;

use crate::{clock::Clock, seldom::Seldom};
use config::Files;
use material::Material;
use reload::Seen;

/// A service's certificate, key and roots. Clones are one.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    service: &'static str,
    files: Files,
    clock: Clock,
    current: RwLock<Arc<Material>>,
    seen: Mutex<Seen>,
    /// The lines about callers whose certificate does not hold.
    refusals: Seldom,
}

impl Tls {
    /// Reads the files that `config` names for `service` (`sso`). `None` if it names none, which means plain text.
    ///
    /// # Errors
    /// If some are named and others not, if one cannot be read, if the key is not the certificate's, or if the certificate is not one of this
    /// service that holds under the roots now: nobody would believe it.
    pub fn load(service: &'static str, config: &TlsConfig, clock: &Clock) -> Result<Option<Self>, TlsError> {
        let Some(files) = config.files()? else { return Ok(None) };
        // Before the files, so that what changes meanwhile is read again.
        let seen = Seen::of(&files);
        let material = Material::read(service, &files, clock)?;
        let (current, seen, clock) = (RwLock::new(Arc::new(material)), Mutex::new(seen), clock.clone());
        Ok(Some(Self(Arc::new(Inner { service, files, clock, current, seen, refusals: Seldom::default() }))))
    }

    /// Until when others believe the certificate in use: its own end or that of a link above it, and ten years from when it was read at most.
    pub(crate) fn end(&self) -> SystemTime {
        self.material().end
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate: &PathBuf = &self.0.files.certificate;
        f.debug_struct("Tls")
            .field("service", &self.0.service)
            .field("certificate", certificate)
            .finish_non_exhaustive()
    }
}

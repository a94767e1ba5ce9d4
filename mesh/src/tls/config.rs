//! The settings of TLS, and where plain text may stand in for it.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use http::Uri;
use serde::Deserialize;

use super::TlsError;

/// How a service proves itself and believes others. Empty paths mean plain text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate, and those between it and a root, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
    /// The certificates of the authorities that are believed, as PEM; several while one takes the place of another.
    pub roots: PathBuf,
    /// The trust domain, the host of every service's SPIFFE id.
    pub trust_domain: String,
    /// Where plain text may be spoken when there is no certificate.
    pub plain_text: PlainText,
}

/// Where plain text may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainText {
    /// On this machine alone.
    Loopback,
    /// Anywhere. Whoever reads the network reads every password and token.
    Allowed,
}

#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) roots: PathBuf,
    pub(super) trust_domain: String,
}

impl TlsConfig {
    /// No TLS, and plain text on loopback alone: the defaults.
    pub fn none() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            roots: PathBuf::new(),
            trust_domain: "plaza.local".to_owned(),
            plain_text: PlainText::Loopback,
        }
    }

    pub(super) fn files(&self) -> Result<Option<Files>, TlsError> {
        let paths = [("certificate", &self.certificate), ("key", &self.key), ("roots", &self.roots)];
        let empty: Vec<_> = paths.iter().filter(|(_, path)| is_empty(path)).map(|(key, _)| *key).collect();
        match empty.len() {
            3 => return Ok(None),
            0 => {}
            _ => return Err(TlsError::Partial(empty.join(" and tls."))),
        }
        let [certificate, key, roots] = paths.map(|(_, path)| path.clone());
        Ok(Some(Files { certificate, key, roots, trust_domain: self.trust_domain.clone() }))
    }

    /// Whether a listener without TLS may be opened on `address`.
    ///
    /// # Errors
    /// If others than this machine can reach it, and [`PlainText::Allowed`] is not said.
    pub fn allows_plain_listener(&self, address: SocketAddr) -> Result<(), TlsError> {
        if self.plain_text == PlainText::Allowed || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(TlsError::PlainListener(address))
    }

    /// Whether the service `callee` may be called at `uri` with what there is: `https` wants a certificate; `http` is for loopback, unless
    /// [`PlainText::Allowed`] is said.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn allows_callee(&self, callee: &'static str, uri: &str, tls: bool) -> Result<(), TlsError> {
        let parsed: Option<Uri> = uri.parse().ok();
        let (scheme, host) = parsed.as_ref().map_or((None, None), |uri| (uri.scheme_str(), uri.host()));
        match (scheme, host) {
            (Some("https"), Some(_)) if tls => Ok(()),
            (Some("https"), Some(_)) => Err(TlsError::NoCertificate { callee, uri: uri.to_owned() }),
            (Some("http"), Some(host)) if self.plain_text == PlainText::Allowed || is_loopback(host) => Ok(()),
            (Some("http"), Some(_)) => Err(TlsError::PlainCallee { callee, uri: uri.to_owned() }),
            _ => Err(TlsError::Uri { callee, uri: uri.to_owned() }),
        }
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// `localhost` is loopback by RFC 6761; any other name may be anywhere.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine_unless_told_otherwise() {
        let config = TlsConfig::none();
        let allowed = TlsConfig { plain_text: PlainText::Allowed, ..TlsConfig::none() };
        for address in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            config.allows_plain_listener(address.parse().expect("an address")).expect(address);
        }
        for address in ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051"] {
            let address = address.parse().expect("an address");
            let text = config.allows_plain_listener(address).expect_err("reachable").to_string();
            for part in ["tls.certificate", "plaza certs", "127.0.0.1", "tls.plain_text = \"allowed\"", "50051"] {
                assert!(text.contains(part), "{text}");
            }
            allowed.allows_plain_listener(address).expect("in as many words");
        }
    }

    #[test]
    fn a_callee_elsewhere_wants_tls() {
        let config = TlsConfig::none();
        let allowed = TlsConfig { plain_text: PlainText::Allowed, ..TlsConfig::none() };
        for uri in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            config.allows_callee("sms", uri, false).expect(uri);
        }
        for uri in ["http://sms:1", "http://10.0.0.1:1", "http://localhost.example.com:1", "http://127.0.0.1.nip.io:1"]
        {
            assert!(matches!(config.allows_callee("sms", uri, true), Err(TlsError::PlainCallee { .. })), "{uri}");
            allowed.allows_callee("sms", uri, false).expect("in as many words");
        }
        config.allows_callee("sms", "https://sms:1", true).expect("with a certificate");
        assert!(matches!(config.allows_callee("sms", "https://sms:1", false), Err(TlsError::NoCertificate { .. })));
        assert!(matches!(config.allows_callee("sms", "sms:1", true), Err(TlsError::Uri { .. })));
    }

    #[test]
    fn half_a_configuration_is_refused() {
        let half = TlsConfig { certificate: "a.pem".into(), roots: "b.pem".into(), ..TlsConfig::none() };
        assert!(half.files().expect_err("no key").to_string().contains("tls.key"));
        assert!(TlsConfig::none().files().expect("none").is_none());
    }
}

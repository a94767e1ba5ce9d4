//! The address of a server: which hosts there are, and how a session with one is protected.

use super::tls::{self, Mode};
use crate::OpenError;
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

/// One configuration for each host, in the order in which they are tried, and TLS for all of them.
pub(super) struct Address {
    pub(super) hosts: Vec<Config>,
    pub(super) tls: MakeRustlsConnect,
}

impl Address {
    /// Reads `postgres://user:password@host:port,host:port/database?key=value&…`. What it leaves open is set so that a dead server is
    /// noticed in seconds, not in a quarter of an hour, and a standby is passed over.
    pub(super) fn of(url: &str) -> Result<Self, OpenError> {
        let Parts { before, hosts, path, settings } = Parts::of(url);
        let (mut mode, mut roots, mut others) = (Mode::default(), None, Vec::new());
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                Some(("sslmode", value)) => mode = Mode::of(value).map_err(OpenError::Url)?,
                Some(("sslrootcert", value)) => roots = Some(decoded(value)?),
                _ => others.push(setting),
            }
        }
        let tls = tls::connector(mode, roots.as_deref().map(Path::new))?;
        let rest = others.join("&");
        let config = |host: &str| {
            let mut config = configured(&format!("{before}{host}{path}?{rest}"), &rest)?;
            config.ssl_mode(mode.of_driver());
            Ok(config)
        };
        let hosts = hosts.split(',').map(config).collect::<Result<_, OpenError>>()?;
        Ok(Self { hosts, tls })
    }
}

/// An address, cut where the driver cuts it: it reads neither `sslrootcert` nor all modes of TLS, and gives all its hosts one time-out that a
/// silent one may outlast.
struct Parts<'a> {
    /// `postgres://user:password@`
    before: &'a str,
    hosts: &'a str,
    /// `/database`
    path: &'a str,
    /// `key=value&…`
    settings: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let scheme = url.find("://").map_or(0, |at| at + 3);
        let (before, rest) = url.split_at(url[scheme..].find('@').map_or(scheme, |at| scheme + at + 1));
        let (rest, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self { before, hosts, path, settings }
    }
}

fn decoded(value: &str) -> Result<Cow<'_, str>, OpenError> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.map_err(|_| OpenError::Url("sslrootcert is not UTF-8".to_owned()))
}

fn configured(url: &str, settings: &str) -> Result<Config, OpenError> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The cause repeats the name of a setting at most, never the password.
        OpenError::Url(format!("it cannot be read ({})", super::connect::chain(&error)))
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(2));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    if config.get_application_name().is_none() {
        config.application_name("plaza");
    }
    if !settings.contains("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(10));
    }
    if !settings.contains("target_session_attrs") {
        config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
    }
    Ok(config)
}

/// One configuration for each address of a host: a name may have several, of which some are dead.
pub(super) async fn each(host: &Config) -> std::io::Result<Vec<Config>> {
    let ([Host::Tcp(name)], [port], []) = (host.get_hosts(), host.get_ports(), host.get_hostaddrs()) else {
        return Ok(vec![host.clone()]);
    };
    let addresses = tokio::net::lookup_host((name.as_str(), *port)).await?;
    Ok(addresses.map(|address| host.clone().hostaddr(address.ip()).clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::Address;
    use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

    fn refused(url: &str) -> String {
        Address::of(url).err().expect("refused").to_string()
    }

    #[test]
    fn each_host_is_tried_by_itself() {
        let address =
            Address::of("postgres://u:p@a,b:6000,[::1]:7000/x?application_name=y&connect_timeout=3").expect("read");
        let told = |config: &tokio_postgres::Config| (config.get_hosts().to_vec(), config.get_ports().to_vec());
        let hosts: Vec<_> = address.hosts.iter().map(told).collect();
        let host = |name: &str, port| (vec![Host::Tcp(name.to_owned())], vec![port]);
        assert_eq!(hosts, [host("a", 5432), host("b", 6000), host("::1", 7000)]);
        for config in &address.hosts {
            assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("x")));
            assert_eq!(config.get_application_name(), Some("y"));
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite, "a standby is no use");
            assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
        }
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses() {
        let address = Address::of("postgres://localhost:6000/x").expect("read");
        let addresses = super::each(&address.hosts[0]).await.expect("looked up");
        assert!(!addresses.is_empty());
        for one in addresses {
            assert!(one.get_hostaddrs()[0].is_loopback());
            assert_eq!(one.get_hosts(), [Host::Tcp("localhost".to_owned())], "TLS checks the name");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_name() {
        for (settings, named) in [
            ("sslmode=allow", "sslmode"),
            ("sslmode=verify-full", "sslrootcert"),
            ("sslmode=verify-ca", "sslrootcert"),
            ("sslrootcert=/nowhere", "sslmode"),
            ("sslmode=disable&sslrootcert=/nowhere", "sslmode"),
            ("sslmode=verify-full&sslrootcert=/no%20where", "/no where"),
            ("sslcert=/mine", "sslcert"),
            ("target_session_attrs=standby", "target_session_attrs"),
        ] {
            let refused = refused(&format!("postgres://u:secret@a/x?{settings}"));
            assert!(refused.contains(named) && !refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn tls_is_as_strict_as_it_is_named() {
        for (settings, mode) in [("sslmode=disable", SslMode::Disable), ("sslmode=require", SslMode::Require)] {
            let address = Address::of(&format!("postgres://a/x?{settings}")).expect("read");
            assert_eq!(address.hosts[0].get_ssl_mode(), mode);
        }
    }
}

//! A certificate authority for development, and a certificate for each service. Whoever has the folder can speak as every service: it is no
//! authority for anything else.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use mesh::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::OffsetDateTime;

use crate::Part;

/// The roots, for services and for grpcurl's `-cacert`.
pub const ROOTS: &str = "roots.pem";
/// The key that signs.
const AUTHORITY: &str = "ca.key";

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// How far the clock of whoever checks may be behind.
const SKEW: Duration = Duration::from_secs(3600);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// Not a trust domain.
    #[error("{0:?} is no trust domain: it has letters from a to z, digits, and . - _")]
    Domain(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// Makes in `folder`, for `domain`, `roots.pem` and for each service its certificate, its key and settings that name them: `sso.pem`, `sso.key`,
/// `sso.toml`. Certificates are good for a year. An authority that is there already signs them again, so that services which run take the new
/// ones by themselves.
///
/// # Errors
/// Whatever [`CertsError`] names.
pub fn write(folder: &Path, domain: &str, clock: &Clock) -> Result<(), CertsError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if domain.is_empty() || !domain.bytes().all(plain) {
        return Err(CertsError::Domain(domain.to_owned()));
    }
    let failed = |source| CertsError::File { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let folder = std::path::absolute(folder).map_err(failed)?;
    let authority = authority(&folder, clock.now())?;
    for part in Part::ALL {
        let key = KeyPair::generate()?;
        let certificate = service(part, domain, clock.now())?.signed_by(&key, &authority)?;
        // The key first: a service that looks between the two keeps its old pair until both have come.
        put(&folder.join(format!("{part}.key")), &key.serialize_pem(), 0o600)?;
        put(&folder.join(format!("{part}.pem")), &certificate.pem(), 0o644)?;
        put(&folder.join(format!("{part}.toml")), &settings(part, &folder, domain), 0o644)?;
    }
    Ok(())
}

/// The authority of the folder, made if it is not there.
fn authority(folder: &Path, now: SystemTime) -> Result<Issuer<'static, KeyPair>, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Plaza development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = ((now - SKEW).into(), (now + 10 * YEAR).into());
    let (path, roots) = (folder.join(AUTHORITY), folder.join(ROOTS));
    let key = match fs::read_to_string(&path) {
        Ok(pem) if roots.exists() => KeyPair::from_pem(&pem)?,
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(CertsError::File { path, source }),
        _ => {
            let key = KeyPair::generate()?;
            put(&path, &key.serialize_pem(), 0o600)?;
            put(&roots, &params.self_signed(&key)?.pem(), 0o644)?;
            key
        }
    };
    Ok(Issuer::new(params, key))
}

/// One SPIFFE id says which service it is. The rest is for clients that want a host they know: people with grpcurl, on this machine.
fn service(part: Part, domain: &str, now: SystemTime) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, part.name());
    params.subject_alt_names = vec![
        SanType::URI(format!("spiffe://{domain}/{part}").try_into()?),
        SanType::DnsName(part.name().try_into()?),
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (OffsetDateTime::from(now - SKEW), OffsetDateTime::from(now + YEAR));
    Ok(params)
}

/// What makes a service on this machine use its certificate, and call the others over TLS.
fn settings(part: Part, folder: &Path, domain: &str) -> String {
    let path = |name: &str| quoted(&folder.join(name).to_string_lossy());
    let mut text = format!(
        "# Made by `plaza certs`, for development.\n[tls]\ncertificate = {}\nkey = {}\nroots = {}\ntrust_domain = \"{domain}\"\n",
        path(&format!("{part}.pem")),
        path(&format!("{part}.key")),
        path(ROOTS),
    );
    let callees: &[(&str, u16)] = match part {
        Part::Sso => &[("sms", 50052), ("social", 50053), ("blog", 50054)],
        Part::Sms => return text,
        Part::Social | Part::Blog => &[("sso", 50051)],
    };
    text.push_str("\n[peers]\n");
    for (callee, port) in callees {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{callee} = \"https://127.0.0.1:{port}\"");
    }
    text
}

/// As a basic string of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Puts a file in place as a whole: services may be reading.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let aside = path.with_extension("new");
    let written = || {
        // One that a run before left behind may have another mode.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    written().map_err(|source| CertsError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use mesh::{Clock, Tls};

    use super::write;
    use crate::{Config, Part};

    #[test]
    fn what_is_made_holds_and_can_be_made_again() {
        let clock = Clock::system();
        let data = tempfile::tempdir().expect("a folder");
        let folder = data.path().join("a \"quoted\" folder");
        let mut roots = Vec::new();
        let mut certificates = Vec::new();
        for _ in 0..2 {
            write(&folder, "plaza.local", &clock).expect("made");
            roots.push(fs::read(folder.join("roots.pem")).expect("roots"));
            certificates.push(fs::read(folder.join("sso.pem")).expect("a certificate"));
            for part in Part::ALL {
                let mode = fs::metadata(folder.join(format!("{part}.key"))).expect("a key").permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                let file = folder.join(format!("{part}.toml"));
                let tls = match part {
                    Part::Sso => sso::Config::load(Some(&file)).expect("settings").tls,
                    Part::Sms => sms::Config::load(Some(&file)).expect("settings").tls,
                    Part::Social | Part::Blog => {
                        let read = mesh::config::load(part.name(), part.default_settings(), Some(&file));
                        let config: roster::Config = read.expect("settings");
                        config.tls
                    }
                };
                Tls::load(part.name(), &tls, &clock).expect("holds").expect("there");
            }
        }
        let mode = fs::metadata(folder.join("ca.key")).expect("the authority").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(roots[0], roots[1], "the same authority");
        assert_ne!(certificates[0], certificates[1], "new certificates");
        assert!(write(&folder, "Plaza", &clock).is_err());
    }

    /// The addresses in the settings are those that the services listen on when nothing says otherwise.
    #[test]
    fn the_settings_name_the_default_ports() {
        let config = Config::embedded(std::path::Path::new("data")).expect("the defaults");
        let text = super::settings(Part::Sso, std::path::Path::new("/certs"), "plaza.local")
            + &super::settings(Part::Blog, std::path::Path::new("/certs"), "plaza.local");
        for part in Part::ALL {
            let line = format!("{part} = \"https://{}\"\n", config.listen(part));
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}

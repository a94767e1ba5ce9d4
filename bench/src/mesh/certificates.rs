//! An authority and two services, for one run, in a folder; and bare rustls on the same files.

use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use ::mesh::{Clock, Tls, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::service::{CALLEE, CALLER};

const DOMAIN: &str = "bench.plaza";

/// Makes the files of caller and callee.
pub(crate) fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // A name of its own: OpenSSL takes a certificate whose issuer is called as it is for one that signed itself.
    params.distinguished_name.push(DnType::CommonName, "bench");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::write(folder.join("roots.pem"), authority.pem())?;
    for name in [CALLER, CALLEE] {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.subject_alt_names.push(SanType::URI(format!("spiffe://{DOMAIN}/{name}").try_into()?));
        fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &authority)?.pem())?;
        let file = folder.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// What the mesh makes of them.
pub(crate) fn mesh(folder: &Path, name: &'static str) -> Result<Option<Tls>, Box<dyn Error>> {
    let config = TlsConfig {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
        roots: folder.join("roots.pem"),
        trust_domain: DOMAIN.to_owned(),
        ..TlsConfig::none()
    };
    Ok(Tls::load(name, &config, &Clock::system())?)
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Arc<RootCertStore>);

fn own(folder: &Path, name: &str) -> Result<Own, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("roots.pem"))?)?;
    let chain = vec![CertificateDer::from_pem_file(folder.join(format!("{name}.pem")))?];
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")))?;
    Ok((chain, key, Arc::new(roots)))
}

/// A server that believes whom the authority signed.
pub(crate) fn server(folder: &Path) -> Result<ServerConfig, Box<dyn Error>> {
    let (chain, key, roots) = own(folder, CALLEE)?;
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Its client.
pub(crate) fn client(folder: &Path) -> Result<ClientConfig, Box<dyn Error>> {
    let (chain, key, roots) = own(folder, CALLER)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

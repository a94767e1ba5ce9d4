//! Which certificates are believed: those that chain to a root, are in their time, and name a service of the trust domain. Chains are webpki's
//! to check, names are ours.

use std::{cell::RefCell, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::name::{self, Misnamed};

tokio::task_local! {
    /// What the certificate of the handshake under way says it is, for the log line of its refusal.
    pub(super) static PRESENTED: RefCell<Option<String>>;
}

fn note(certificate: &CertificateDer<'_>) {
    // Outside of a handshake of ours nobody asks.
    let _ = PRESENTED.try_with(|presented| *presented.borrow_mut() = Some(name::claimed(certificate)));
}

fn misnamed(error: Misnamed) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// Believes callers, and lets those without a certificate in as nobody.
#[derive(Debug)]
pub(super) struct Callers {
    chain: Arc<dyn ClientCertVerifier>,
    domain: String,
}

impl Callers {
    /// `chain` checks all but the name.
    pub(super) fn new(chain: Arc<dyn ClientCertVerifier>, domain: &str) -> Self {
        Self { chain, domain: domain.to_owned() }
    }
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        note(end_entity);
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        name::service(end_entity, &self.domain).map_err(misnamed)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Believes one service, wherever it is: its SPIFFE id is asked for, and not the host.
#[derive(Debug)]
pub(super) struct Callee {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    domain: String,
    expected: &'static str,
}

impl Callee {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: &CryptoProvider,
        domain: &str,
        expected: &'static str,
    ) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms, domain: domain.to_owned(), expected }
    }
}

impl ServerCertVerifier for Callee {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        note(end_entity);
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, all)?;
        name::expect(end_entity, &self.domain, self.expected).map_err(misnamed)?;
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

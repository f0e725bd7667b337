//! The certificate authority the demo makes for itself at every start.
//!
//! The clinic speaks HTTPS like the API it stands for, so that the edge and
//! the direct requests verify a certificate as they would in production.
//! Nothing is kept: the keys live in this process, only the authority's
//! certificate is written to disk.

use std::{net::IpAddr, sync::Arc};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority and the one server certificate it has signed.
pub(super) struct Authority {
    pem: String,
    root: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    /// Makes an authority, and a certificate for `localhost`, both loopback addresses and `ip`.
    pub(super) fn new(ip: IpAddr) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
            .distinguished_name
            .push(DnType::CommonName, "Warmfront demo authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        if !ip.is_unspecified() && !names.contains(&ip.to_string()) {
            names.push(ip.to_string());
        }
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Warmfront demo clinic");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;

        Ok(Self {
            pem: authority.pem(),
            root: authority.der().clone(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        })
    }

    /// The authority's certificate, for `curl --cacert` and an origin's `ca`.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS as the clinic offers it: HTTP/1.1 only, like the API it stands for.
    pub(super) fn server(&self) -> anyhow::Result<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(self.key.clone_key());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .context("certificate of the demo clinic")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS as a viewer asks for it: only this authority is trusted, and no
    /// session is resumed, so that every connection pays its whole handshake.
    pub(super) fn viewer(&self) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.root.clone())
            .context("certificate of the demo authority")?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Named at every use: `builder()` would take the process's default, which panics when a build
/// happens to hold two providers.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

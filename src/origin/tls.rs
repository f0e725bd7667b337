//! TLS towards an origin: whom we trust, and what a failed handshake means.
//!
//! Verification cannot be turned off: there is no verifier in here but rustls's own,
//! with the system's roots or the origin's `ca`. The name that is sent (SNI) and
//! verified is the origin's host, which may be an address.
//!
//! tokio-rustls and not hyper-rustls: the latter is a connector of whole URIs that hides
//! which step failed, while we have a stream already and need the rustls error itself to
//! tell an untrusted certificate from a broken handshake.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    origin::{
        dial::Io,
        error::{Cause, Failed},
    },
    policy::failover::{Blame, Phase, Retry},
    site::Origin,
};

/// The system's roots, read when the first origin needs them; a few milliseconds, once.
/// Some of them being unreadable is usual; those that are readable count.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> =
    LazyLock::new(|| roots(rustls_native_certs::load_native_certs().certs));

/// How connections to one origin are secured.
pub(super) struct Tls {
    name: ServerName<'static>,
    /// Offers HTTP/2 and HTTP/1.1.
    any: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone, for upgrades: "HTTP/2 does not support the 101 (Switching
    /// Protocols) informational status code" (RFC 9113 §8.6).
    http1: Arc<ClientConfig>,
}

/// The protocols to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/2, else HTTP/1.1.
    Any,
    /// HTTP/1.1.
    Http1,
}

/// The protocol that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    Http1,
    Http2,
}

impl Tls {
    /// How to secure connections to `origin`; errs when it cannot be verified at all.
    pub(super) fn new(origin: &Origin) -> Result<Self, Failed> {
        let ours = |seen| Failed::new(Blame::Us, Phase::Verify, Cause::Seen(seen));
        let roots = match &origin.ca {
            Some(ca) => roots(ca.iter().cloned()),
            None => Arc::clone(&SYSTEM_ROOTS),
        };
        if roots.is_empty() {
            return Err(ours("no usable authority to verify the certificate with"));
        }
        let name = ServerName::try_from(bare(&origin.host).to_owned())
            .map_err(|_| ours("the host is neither a name nor an address"))?;
        let mut any = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| ours("the crypto provider knows no version of TLS"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http1 = any.clone();
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            name,
            any: Arc::new(any),
            http1: Arc::new(http1),
        })
    }

    /// `stream`, secured. Has no timeout of its own; dropping it closes the stream.
    pub(super) async fn secure(
        &self,
        stream: Box<dyn Io>,
        offer: Offer,
    ) -> Result<(Box<dyn Io>, Agreed), Failed> {
        let config = match offer {
            Offer::Any => &self.any,
            Offer::Http1 => &self.http1,
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let secured = connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(judged)?;
        let agreed = agreed(&secured);
        Ok((Box::new(secured), agreed))
    }
}

/// An address literal without the brackets a URL puts around it.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

fn roots(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    Arc::new(roots)
}

/// An origin that does not speak ALPN speaks HTTP/1.1.
fn agreed(secured: &TlsStream<Box<dyn Io>>) -> Agreed {
    match secured.get_ref().1.alpn_protocol() {
        Some(b"h2") => Agreed::Http2,
        _ => Agreed::Http1,
    }
}

/// What a failed handshake means: an untrusted certificate stays untrusted, everything
/// else may be a moment's trouble, and nothing of the request was sent.
fn judged(error: io::Error) -> Failed {
    let seen = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (blame, phase, retry) = match seen {
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
            | rustls::Error::InvalidCertRevocationList(_),
        ) => (Blame::Origin, Phase::Verify, Retry::No),
        Some(_) => (Blame::Origin, Phase::Tls, Retry::Unsent),
        None => (Blame::Network, Phase::Tls, Retry::Unsent),
    };
    Failed::new(blame, phase, error).with_retry(retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: io::Error, blame: Blame, phase: Phase, retry: Retry) {
        let failure = judged(error).failure;
        assert_eq!(
            (failure.blame, failure.phase, failure.retry),
            (blame, phase, retry)
        );
    }

    fn wrapped(error: rustls::Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn only_the_certificate_is_untrusted() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        check(wrapped(unknown), Blame::Origin, Phase::Verify, Retry::No);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        check(wrapped(alert), Blame::Origin, Phase::Tls, Retry::Unsent);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        check(reset, Blame::Network, Phase::Tls, Retry::Unsent);
    }

    #[test]
    fn brackets_are_no_part_of_an_address() {
        assert_eq!(bare("[::1]"), "::1");
        assert_eq!(bare("::1"), "::1");
        assert_eq!(bare("api.example.com"), "api.example.com");
    }
}

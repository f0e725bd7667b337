//! Which certificate a viewer is shown, and what goes with it.
//!
//! Every certificate has a configuration of its own, so that the one a connection was
//! given is known afterwards: what it may ask for depends on it. All share the key of
//! tickets, which lives as long as the process: a ticket is good after a reload, on every
//! worker, and for the name alone that it was given for.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    CipherSuite, ServerConfig, SignatureAlgorithm,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, NoServerSessionStorage, ProducesTickets},
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::site::{Certificate, Names, parent};

/// What TLS agrees to speak inside, the better first (RFC 7301, RFC 9113 §3.2).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The key that tickets are encrypted with; it is replaced every six hours, and the one
/// before is understood for six more (RFC 8446 §4.6.1, RFC 5077).
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    aws_lc_rs::Ticketer::new()
}

/// The certificates that are shown now.
#[derive(Debug)]
pub(super) struct Keyring {
    shown: Vec<Shown>,
    /// Whom a whole name may be shown, the one to prefer first.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// The same for what follows a `*.`.
    wild: HashMap<Box<str>, Vec<usize>>,
    /// The same where no name fits, or none is asked for.
    rest: Vec<usize>,
}

/// A certificate, ready to be shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) config: Arc<ServerConfig>,
    pub(super) names: Arc<Names>,
    key: Arc<CertifiedKey>,
}

impl Keyring {
    /// Of `certificates`, of which the first is for viewers that ask for no name, or for
    /// one that nothing covers; `None` where there are none.
    pub(super) fn of(
        certificates: &[Certificate],
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<Option<Self>, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown: Vec<Shown> = certificates
            .iter()
            .map(|one| {
                Ok(Shown {
                    config: Arc::new(config(&one.key, &provider, ticketer)?),
                    names: Arc::clone(&one.names),
                    key: Arc::clone(&one.key),
                })
            })
            .collect::<Result<_, rustls::Error>>()?;
        // An RSA signature takes ten times as long as the others: only for who knows no other.
        let mut order: Vec<usize> = (0..shown.len()).collect();
        order.sort_by_key(|at| shown[*at].key.key.algorithm() == SignatureAlgorithm::RSA);
        let (mut exact, mut wild) = (HashMap::new(), HashMap::new());
        for at in order {
            let (names, parents) = shown[at].names.parts();
            for (map, names) in [(&mut exact, names), (&mut wild, parents)] {
                for name in names {
                    map.entry(name.clone()).or_insert_with(Vec::new).push(at);
                }
            }
        }
        let Some(first) = shown.first() else {
            return Ok(None);
        };
        // With others of the same names, for who cannot verify the first.
        let alike = |at: &usize| shown[*at].names == first.names;
        let rest = [0]
            .into_iter()
            .chain((1..shown.len()).filter(alike))
            .collect();
        Ok(Some(Self {
            shown,
            exact,
            wild,
            rest,
        }))
    }

    /// The certificate for who says `hello`: of those for the name the first whose signature
    /// it understands. Where it understands none, the handshake fails with the alert for it.
    pub(super) fn choose(&self, hello: &ClientHello<'_>) -> &Shown {
        let fitting = hello.server_name().and_then(|name| self.named(name));
        let fitting = fitting.unwrap_or(&self.rest);
        let understood = fitting
            .iter()
            .find(|at| understands(hello, &self.shown[**at].key));
        let at = understood
            .or_else(|| fitting.first())
            .copied()
            .unwrap_or_default();
        &self.shown[at]
    }

    fn named(&self, name: &str) -> Option<&Vec<usize>> {
        let wild = || self.wild.get(parent(name)?);
        self.exact.get(name).or_else(wild)
    }
}

fn config(
    key: &CertifiedKey,
    provider: &Arc<CryptoProvider>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Nothing is kept of a connection that has ended: the ticket holds it all.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::clone(ticketer);
    // "There are no guarantees of non-replay between connections" (RFC 8446 §2.3): a
    // request that came in early data may come again. We take none.
    config.max_early_data_size = 0;
    Ok(config)
}

/// Whether who says `hello` can verify what `key` signs. Where nothing newer than TLS 1.2
/// is offered, the suite names the kind of key as well (RFC 5289).
fn understands(hello: &ClientHello<'_>, key: &CertifiedKey) -> bool {
    use CipherSuite::*;
    let suits = |suite: &CipherSuite| match suite {
        TLS13_AES_128_GCM_SHA256 | TLS13_AES_256_GCM_SHA384 | TLS13_CHACHA20_POLY1305_SHA256 => {
            true
        }
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        | TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        | TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            key.key.algorithm() == SignatureAlgorithm::RSA
        }
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            key.key.algorithm() != SignatureAlgorithm::RSA
        }
        _ => false,
    };
    key.key.choose_scheme(hello.signature_schemes()).is_some()
        && hello.cipher_suites().iter().any(suits)
}

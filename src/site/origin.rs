//! An origin: where requests go, and how long they may take.

use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::policy::Target;

/// An origin server (CloudFront: custom origin). Equal origins share connections.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its name in the file.
    pub id: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its name or address: what is resolved, and what its certificate must name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What forwarding needs to know.
    pub target: Target,
    /// The authorities it is verified against; `None` means the system's roots.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// How long one attempt to connect may take: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How often a connection is attempted, 1 to 10.
    pub connect_attempts: u32,
    /// How long the origin may take to its first byte, and between two.
    pub response_timeout: Duration,
    /// How long an idle connection is kept.
    pub keepalive: Duration,
    /// Whether requests without a body are sent beneath the HTTP library, over HTTP/1.1. It is of
    /// an exchange, and not of a connection.
    pub express: bool,
}

/// The transport to an origin (CloudFront: origin protocol policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 in plain text.
    Http,
    /// TLS, then HTTP/2 or HTTP/1.1 by ALPN.
    Https,
}

impl Origin {
    /// Whether connections made for `self` may carry requests for `other`.
    pub fn same_connection(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.host == other.host
            && self.port == other.port
            && self.ca == other.ca
            && self.connect_timeout == other.connect_timeout
            && self.keepalive == other.keepalive
    }
}

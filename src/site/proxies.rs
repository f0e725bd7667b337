//! The proxies in front: whose word is believed, and where they introduce viewers.

use std::net::SocketAddr;

use crate::policy::peer::Trusted;

/// What stands between viewers and us; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Whose word is believed.
    pub trusted: Trusted,
    /// The listeners, as the configuration names them, whose connections begin with a PROXY
    /// protocol header.
    pub introducing: Vec<SocketAddr>,
}

impl Proxies {
    /// Whether connections to `bound`, where a listener is, begin with a PROXY protocol
    /// header. A listener on port 0 is known by its address alone.
    pub fn introduce_at(&self, bound: SocketAddr) -> bool {
        self.introducing
            .iter()
            .any(|named| *named == bound || named.port() == 0 && named.ip() == bound.ip())
    }
}

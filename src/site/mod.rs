//! The configuration as the daemon uses it: checked, compiled, immutable.
//!
//! A [`Snapshot`] never changes. A request takes the current one once, at its
//! start, and sees no other; a reload makes a new one.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::policy::Caching;

mod admin;
mod certificate;
mod debug;
mod distribution;
mod origin;
mod proxies;
mod route;

pub use admin::{Admin, AwsKey, Scope, Secret, Token};
pub use certificate::{Certificate, Names, parent};
pub use debug::DebugSecret;
pub use distribution::{Behaviour, Distribution};
pub use origin::{Origin, Protocol};
pub use proxies::Proxies;
pub use route::{Hosts, Route, Routed};

/// Everything one version of the configuration says.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the configurations this process has run, from 1.
    pub generation: u64,
    /// Names the content: equal digests are equal configurations.
    pub digest: String,
    /// The process.
    pub server: Server,
    /// The store's bounds.
    pub cache: Cache,
    /// The admin listener, if there is one.
    pub admin: Option<Admin>,
    /// Where viewers connect.
    pub listeners: Vec<Listener>,
    /// What stands before us.
    pub proxies: Proxies,
    /// What listeners with TLS show, in the file's order; the first where no name fits.
    pub certificates: Vec<Certificate>,
    /// Every origin, in the file's order.
    pub origins: Vec<Arc<Origin>>,
    /// Every distribution, in the file's order.
    pub distributions: Vec<Distribution>,
    /// Which distribution a host belongs to.
    pub hosts: Hosts,
}

impl Snapshot {
    /// The same configuration, with which nothing is stored, shared, or answered from the store.
    pub fn uncached(&self) -> Self {
        let mut site = self.clone();
        let behaviours = site
            .distributions
            .iter_mut()
            .flat_map(|one| &mut one.behaviours);
        for behaviour in behaviours {
            behaviour.rules.caching = Caching::Off;
        }
        site
    }
}

/// How the process runs. All but `workers`, `hand_over` and `confine` follow a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Threads that serve viewers, each with its own sockets.
    pub workers: usize,
    /// How long requests in flight may still take after SIGTERM.
    pub drain_timeout: Duration,
    /// How long a viewer may take to send a whole head, the first byte of a connection included.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Viewers' connections at once; `None`: as many as the process has room for.
    pub connections_max: Option<usize>,
    /// Of those, from one address; `None`: half of them.
    pub connections_per_address_max: Option<usize>,
    /// What a request must carry to be told its key.
    pub debug_secret: Option<DebugSecret>,
    /// The Unix socket at which the listening sockets are offered to the next process.
    pub hand_over: Option<PathBuf>,
    /// Whether the process gives up every file that the configuration does not name.
    pub confine: bool,
    /// Whether plain requests are answered beneath the HTTP library; see also
    /// [`Origin::express`].
    pub express: bool,
}

/// The store's bounds; they are fixed for the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Heads, bodies, keys and index together, in bytes.
    pub memory: u64,
    /// A larger body streams through, unstored; in bytes.
    pub object_max: u64,
}

/// A viewers' listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its connections begin with.
    pub transport: Transport,
}

/// What carries HTTP at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP as it is.
    Plain,
    /// TLS, with a certificate chosen by the name the viewer asks for.
    Tls,
}

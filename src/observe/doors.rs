//! What the viewers' doors say: phrases of connections, for which there is no counter here
//! (the doors keep their own tally).

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use tracing::{debug, warn};

use super::events::TARGET;

/// An address takes no connections now; said once per row of failures.
pub fn cannot_accept(address: Option<SocketAddr>, cause: &dyn fmt::Display) {
    match address {
        Some(address) => warn!(target: TARGET, %address, %cause, "cannot accept connections"),
        None => warn!(target: TARGET, %cause, "cannot accept connections"),
    }
}

/// A connection broke a deadline and is being closed.
pub fn connection_overdue(why: &dyn fmt::Debug) {
    debug!(target: TARGET, ?why, "connection overdue");
}

/// A connection that should have begun with a PROXY protocol header was closed.
pub fn not_introduced(peer: SocketAddr, cause: &dyn fmt::Display) {
    debug!(target: TARGET, %peer, %cause, "connection not introduced");
}

/// An address holds as many connections as it may; another one was closed.
pub fn connection_crowded(address: IpAddr) {
    debug!(target: TARGET, %address, "too many connections of one address");
}

/// A connection ended with an error, mostly the viewer's.
pub fn connection_ended(cause: &dyn fmt::Display) {
    debug!(target: TARGET, %cause, "connection ended");
}

//! The listening sockets of this process, held ready for the one that follows it.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A second hold on every listening socket, by its address; clones share one list.
///
/// As long as a spare is held, the kernel queues connections there: it is let go of before
/// whoever accepts, never after, or connections would come that nobody takes.
#[derive(Clone, Debug, Default)]
pub struct Spares(Arc<Mutex<BTreeMap<SocketAddr, Vec<TcpListener>>>>);

impl Spares {
    /// Holds `sockets`, which are bound to `address`.
    pub fn hold(&self, address: SocketAddr, sockets: Vec<TcpListener>) {
        self.held().insert(address, sockets);
    }

    /// Lets go of those bound to `address`.
    pub fn release(&self, address: SocketAddr) {
        self.held().remove(&address);
    }

    /// Lets go of all.
    pub fn clear(&self) {
        self.held().clear();
    }

    /// One more hold on each; those that the system refuses to copy are left out.
    pub(super) fn all(&self) -> Vec<TcpListener> {
        let held = self.held();
        let sockets = held.values().flatten();
        sockets.filter_map(|one| one.try_clone().ok()).collect()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<TcpListener>>> {
        // A panic while it was locked cannot have left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

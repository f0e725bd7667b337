//! What is said of one process following another, and of what it gives up.

use std::{fmt, net::SocketAddr, path::Path};

use tracing::{info, warn};

use super::{
    Events,
    events::{Plain, TARGET},
};

impl Events {
    /// The process before gave its sockets, and serves until this one does.
    pub fn taking_over(&self) {
        info!(target: TARGET, "taking over from the process before");
    }

    /// There is no process to take over from; this one begins on its own.
    pub fn nobody_to_take_over(&self, path: &Path) {
        let path = path.display();
        info!(target: TARGET, %path, "nobody to take over from");
    }

    /// The process before gave its sockets and did not answer afterwards: it is gone, or stuck.
    pub fn predecessor_silent(&self, cause: &dyn fmt::Display) {
        let cause = Plain(cause);
        warn!(target: TARGET, %cause, "the process before did not answer, serving in its place");
    }

    /// A socket was given to this process that no listener asks for; it is closed here.
    pub fn socket_unclaimed(&self, address: SocketAddr) {
        warn!(target: TARGET, %address, "a socket was handed over that no listener asks for");
    }

    /// The next process can take the sockets over at `path`.
    pub fn hand_over_offered(&self, path: &Path) {
        let path = path.display();
        info!(target: TARGET, %path, "hand-over offered");
    }

    /// No process can take the sockets over.
    pub fn hand_over_unavailable(&self, path: &Path, cause: &dyn fmt::Display) {
        let (path, cause) = (path.display(), Plain(cause));
        warn!(target: TARGET, %path, %cause, "hand-over not offered");
    }

    /// Another process has every socket, and serves from now on.
    pub fn handed_over(&self) {
        info!(target: TARGET, "handed over");
    }

    /// What became of giving up files: a word, and how many folders are kept.
    pub fn confined(&self, degree: &'static str, folders: usize) {
        info!(target: TARGET, degree, folders, "confined to its own files");
    }

    /// Files could not be given up.
    pub fn not_confined(&self, cause: &dyn fmt::Display) {
        let cause = Plain(cause);
        warn!(target: TARGET, %cause, "not confined to its own files");
    }
}

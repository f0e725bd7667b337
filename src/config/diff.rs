//! What a reload has to do: the differences between two snapshots that are more than data.
//!
//! Everything else (origins, distributions, behaviours, timeouts) is in force as
//! soon as the new snapshot is in place.

use std::{fmt, net::SocketAddr, path::PathBuf};

use crate::{
    config::units,
    site::{Listener, Snapshot},
};

/// What to open and close, and what cannot follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Listeners to bind before the swap.
    pub open: Vec<Listener>,
    /// Listeners to drain after it.
    pub close: Vec<Listener>,
    /// Listeners that stay, whose connections begin otherwise from then on.
    pub change: Vec<Listener>,
    /// Where to bind an admin listener before the swap, if anywhere.
    pub admin_open: Option<SocketAddr>,
    /// The admin listener to drain after it, if any.
    pub admin_close: Option<SocketAddr>,
    /// What the file says and the process will not do before it is started again.
    pub restart: Vec<Restart>,
}

/// A setting that is fixed for the life of the process. It prints as a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The key, such as `server.workers`.
    pub key: &'static str,
    /// What is in force.
    pub running: String,
    /// What the file says.
    pub written: String,
}

/// Compares the snapshot in force with the next one.
///
/// `old` should be the one whose [`Restart`] settings the process was started
/// with for those to be told again at each reload.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Changes {
    let missing = |from: &[Listener], of: &[Listener]| -> Vec<Listener> {
        of.iter()
            .filter(|listener| !from.iter().any(|one| one.address == listener.address))
            .cloned()
            .collect()
    };
    let kept = new.listeners.iter().filter(|listener| {
        let same = |one: &&Listener| one.address == listener.address;
        let before = old.listeners.iter().find(same);
        before.is_some_and(|before| before.transport != listener.transport)
    });
    let admin = |site: &Snapshot| site.admin.as_ref().map(|admin| admin.address);
    let (admin_old, admin_new) = (admin(old), admin(new));
    let mut changes = Changes {
        open: missing(&old.listeners, &new.listeners),
        close: missing(&new.listeners, &old.listeners),
        change: kept.cloned().collect(),
        ..Changes::default()
    };
    if admin_old != admin_new {
        (changes.admin_close, changes.admin_open) = (admin_old, admin_new);
    }
    let fixed = [
        (
            "server.workers",
            old.server.workers.to_string(),
            new.server.workers.to_string(),
        ),
        (
            "cache.memory",
            units::show_size(old.cache.memory),
            units::show_size(new.cache.memory),
        ),
        (
            "cache.object_max",
            units::show_size(old.cache.object_max),
            units::show_size(new.cache.object_max),
        ),
        ("admin.journal", journal(old), journal(new)),
        (
            "server.hand_over",
            shown(old.server.hand_over.as_ref()),
            shown(new.server.hand_over.as_ref()),
        ),
        (
            "server.confine",
            old.server.confine.to_string(),
            new.server.confine.to_string(),
        ),
    ];
    let moved = fixed
        .into_iter()
        .filter(|(_, running, written)| running != written);
    changes.restart = moved
        .map(|(key, running, written)| Restart {
            key,
            running,
            written,
        })
        .collect();
    changes
}

fn journal(site: &Snapshot) -> String {
    shown(site.admin.as_ref().and_then(|admin| admin.journal.as_ref()))
}

fn shown(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            running,
            written,
        } = self;
        write!(
            f,
            "{key} stays {running} until the next start; the file says {written}"
        )
    }
}

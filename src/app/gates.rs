//! Where the daemon listens: bound first, all of it, and accepted from afterwards.

use std::net::SocketAddr;

use super::Unservable;
use crate::{
    admin,
    config::Changes,
    handover::Inherited,
    listen::{Bound, Workers},
    site::{Listener, Snapshot},
};

/// Binds what `changes` wants open, or takes it from what was `inherited`. Nothing is accepted
/// yet; on an error nothing is left bound.
pub(super) fn bind(
    workers: &Workers,
    changes: &Changes,
    inherited: &mut Inherited,
) -> Result<Opened, Unservable> {
    let office = changes.admin_open.map(|address| {
        let door = match inherited.take(address).pop() {
            Some(socket) => admin::Door::over(socket),
            None => admin::Door::open(address),
        };
        door.map_err(|source| Unservable::Admin { address, source })
    });
    let gates = changes.open.iter().cloned().map(|listener| {
        let sockets = inherited.take(listener.address);
        let bound = workers.bind(listener.address, sockets);
        Ok((listener, bound.map_err(Unservable::Listener)?))
    });
    let gates = gates.collect::<Result<_, _>>()?;
    let office = office.transpose()?;
    Ok(Opened { gates, office })
}

/// A viewers' listener, as the configuration names it, and where it is bound.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) listener: Listener,
    pub(super) bound: SocketAddr,
}

/// What was bound and does not yet belong to the daemon.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) gates: Vec<(Listener, Bound)>,
    pub(super) office: Option<admin::Door>,
}

/// Everything that `site` wants open, as a change from nothing.
pub(super) fn everything(site: &Snapshot) -> Changes {
    Changes {
        open: site.listeners.clone(),
        admin_open: site.admin.as_ref().map(|admin| admin.address),
        ..Changes::default()
    }
}

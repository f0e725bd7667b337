//! The admin API while it is open.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::Outside;
use crate::{
    admin::{Door, Facts, Limits, Readiness, Reloads, router},
    invalidate::Invalidations,
    serve::Site,
    store::Store,
    time::Timestamp,
};

/// How long answers under way may take once it closes.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// What every admin listener of a process answers from.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) readiness: Readiness,
    pub(super) started: Timestamp,
    pub(super) site: Arc<ArcSwap<Site>>,
    pub(super) store: Store,
    pub(super) invalidations: Invalidations,
    pub(super) reloads: Reloads,
}

/// An admin listener and the task that answers there. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Office {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Office {
    /// Answers at `door` from now on, on the current runtime.
    pub(super) fn open(door: Door, outside: &Outside, desk: &Desk) -> Self {
        let (address, stop) = (door.address(), CancellationToken::new());
        let (events, clock) = (outside.events.clone(), outside.clock);
        let router = router(Facts {
            events: events.clone(),
            readiness: desk.readiness.clone(),
            address,
            clock,
            started: desk.started,
            site: desk.site.clone(),
            store: desk.store.clone(),
            invalidations: desk.invalidations.clone(),
            reloads: desk.reloads.clone(),
            limits: Limits::default(),
        });
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            if let Err(cause) = door.serve(router, events.clone(), clock, stopping).await {
                events.admin_stopped(&cause);
            }
        });
        Self {
            address,
            stop,
            task,
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener, and gives answers under way a second.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        let _ = timeout(CLOSE_MAX, &mut self.task).await;
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

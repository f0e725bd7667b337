//! The process that follows this one: how it is offered the sockets, and let serve.

use std::{path::Path, sync::Arc};

use super::App;
use crate::{
    admin::Phase,
    handover::{Heir, Offer},
    serve::{Limits, Site},
};

impl App {
    /// Makes room for `heir`, the process that serves from when this returns: nothing is
    /// accepted here any more, and the journal is its. What is under way here goes on; stop
    /// afterwards to drain.
    ///
    /// Requests that still come on open connections are passed to the origin: what they would
    /// find stored here might be invalidated there by now, and this process not hear of it.
    pub(super) async fn hand_over(&mut self, heir: Heir) {
        self.readiness.enter(Phase::Draining);
        let passing = Arc::new(self.running().uncached());
        let meters = self.outside.events.meters(&passing);
        let limits = Limits::of(&passing, self.outside.clock, &self.site.load().limits);
        self.site.store(Arc::new(Site {
            meters,
            limits,
            snapshot: passing,
        }));
        if let Some(office) = self.office.take() {
            self.shut(office).await;
        }
        let gates = std::mem::take(&mut self.gates);
        self.close(&gates).await;
        self.desk.invalidations.release().await;
        heir.release().await;
        self.outside.events.handed_over();
    }

    /// Offers the sockets to the next process, if `path` says where. That nobody can be offered
    /// them stops nothing.
    pub(super) fn offer(&mut self, path: Option<&Path>) {
        let Some(path) = path else { return };
        match Offer::open(path, self.spares.clone()) {
            Ok(offer) => {
                self.offer = Some(offer);
                self.outside.events.hand_over_offered(path);
            }
            Err(error) => self.outside.events.hand_over_unavailable(path, &error),
        }
    }

    /// The offer to the next process, once.
    pub(super) fn take_offer(&mut self) -> Option<Offer> {
        self.offer.take()
    }
}

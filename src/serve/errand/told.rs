//! Who hears of a fetch, and what: the followers of its flight, and the viewer that sent it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    flight::Lease,
    policy::{Failure, reuse::Standing},
    serve::led::Led,
    store::{Fill, Object},
};

/// What a flight tells its followers.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// An answer that may be shared is being read.
    Filling(Fill),
    /// The stored answer was confirmed.
    Stored(Arc<Object>),
    /// The origin fails, and this stale answer stands in.
    Stale(Arc<Object>),
    /// The answer belongs to the leader alone.
    Unshareable,
    /// The origin could not be asked.
    Failed(Failure),
}

/// Who hears of an errand: the followers, and the viewer that sent it.
pub(super) struct Told {
    pub(super) lease: Option<Lease<Arrival>>,
    pub(super) report: Option<oneshot::Sender<Led>>,
}

impl Told {
    pub(super) fn announce(&self, arrival: Arrival) {
        if let Some(lease) = &self.lease {
            lease.announce(arrival);
        }
    }

    /// A viewer that has left hears nothing, and what it would have got is dropped.
    pub(super) fn report(&mut self, led: Led) {
        if let Some(report) = self.report.take() {
            let _ = report.send(led);
        }
    }

    pub(super) fn land(&mut self) {
        self.lease = None;
    }

    pub(super) fn stale(&mut self, object: Arc<Object>, standing: Standing) {
        self.announce(Arrival::Stale(object.clone()));
        self.report(Led::Stale(object, standing));
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.announce(Arrival::Failed(failure));
        self.report(Led::Failed(failure));
    }
}

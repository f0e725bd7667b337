//! The handles one configuration's requests count with.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{CacheResult, Histogram, spread::Spread};

/// The handles of every behaviour of one snapshot, by `Behaviour::index`.
///
/// A request counts with the meters that came with the snapshot it was routed
/// by. An index of another snapshot finds some other or no behaviour, never a
/// panic: what belongs to none is counted where no scrape sees it.
#[derive(Debug, Default)]
pub struct Meters {
    pub(super) behaviours: Vec<BehaviourMeters>,
    pub(super) unrouted: Count,
    pub(super) stray: BehaviourMeters,
}

/// The handles of one behaviour.
#[derive(Clone, Debug, Default)]
pub struct BehaviourMeters {
    /// Requests, by what became of them.
    pub requests: ByResult,
    /// Bytes of bodies handed to viewers.
    pub viewer_bytes: Count,
    /// Requests that waited for another request's fetch.
    pub coalesced: Count,
    /// Requests refused because their viewer asked too much.
    pub rate_limited: Count,
    /// Bytes of bodies not sent, since a smaller coding was.
    pub saved_bytes: Count,
    /// From sending a request to its origin until the head of the answer; shared
    /// by all behaviours of one origin.
    pub origin_first_byte: Histogram,
    /// The same, of this behaviour alone.
    pub origin_wait: Histogram,
    /// From a viewer's request until the head of its answer, where that was not at hand: a
    /// hit reads no clock, and is answered in less than a millisecond.
    pub viewer_head: Histogram,
}

/// A number that only grows; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Count(pub(super) Counter<u64, Spread>);

/// One [`Count`] for each [`CacheResult`].
#[derive(Clone, Debug, Default)]
pub struct ByResult(pub(super) [Count; CacheResult::ALL.len()]);

impl Meters {
    /// Every handle of a behaviour.
    pub fn behaviour(&self, index: usize) -> &BehaviourMeters {
        self.behaviours.get(index).unwrap_or(&self.stray)
    }

    /// The requests of a behaviour, by what became of them.
    pub fn requests(&self, behaviour: usize) -> &ByResult {
        &self.behaviour(behaviour).requests
    }

    /// Where the waits for a behaviour's origin are counted.
    pub fn origin_first_byte(&self, behaviour: usize) -> &Histogram {
        &self.behaviour(behaviour).origin_first_byte
    }

    /// Counts how long a behaviour's origin took to the head of its answer.
    pub fn origin_took(&self, behaviour: usize, took: Duration) {
        let meters = self.behaviour(behaviour);
        meters.origin_first_byte.observe(took);
        meters.origin_wait.observe(took);
    }

    /// Requests for which no host or no behaviour was found, or that were
    /// refused before that could be asked.
    pub fn unrouted(&self) -> &Count {
        &self.unrouted
    }
}

impl ByResult {
    /// Counts one request.
    pub fn count(&self, result: CacheResult) {
        self.0[result as usize].one();
    }

    /// How many requests had this result.
    pub fn so_far(&self, result: CacheResult) -> u64 {
        self.0[result as usize].so_far()
    }
}

impl Count {
    /// Counts one.
    pub fn one(&self) {
        self.more(1);
    }

    /// Counts `more`.
    pub fn more(&self, more: u64) {
        self.0.inc_by(more);
    }

    /// How many were counted.
    pub fn so_far(&self) -> u64 {
        self.0.get()
    }
}

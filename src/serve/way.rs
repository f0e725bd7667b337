//! A request on its way through the edge, and what everyone on that way asks of it.

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::Instant;

use super::{Edge, Interims, Site, recode::Chosen, reply, responding::Wait, reusable};
use crate::{
    observe::CacheResult,
    policy::{
        Ask, Key, Rules,
        deliver::{CacheStatus, Outcome, Report, Timing},
        reuse::Reuse,
    },
    site::Route,
    store::{Found, Object},
    time::Timestamp,
};

/// A request on its way: what was asked, where it belongs, and who it is to us.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) edge: Arc<Edge>,
    pub(super) site: Arc<Site>,
    pub(super) route: Route,
    /// Boxed, since the way is handed on more often than it is looked at.
    pub(super) ask: Box<Ask>,
    pub(super) request_id: HeaderValue,
    /// Where the interim responses to a request for this viewer go.
    pub(super) interims: Option<Interims>,
    /// When it came, where the answer is to say how long it took.
    pub(super) since: Option<Instant>,
}

impl Way {
    pub(super) fn rules(&self) -> &Rules {
        &self.route.behaviour().rules
    }

    /// The key to look under for what `plain` names.
    pub(super) fn looked_up(&self, plain: Key) -> Key {
        self.edge.searches.looked_up(&self.ask, self.rules(), plain)
    }

    /// What the store has for this request.
    pub(super) fn find(&self, key: Key) -> Found {
        self.edge.find(key, &self.ask, self.rules())
    }

    /// What to do with `object`, which [`Way::find`] found.
    pub(super) fn reuse(&self, object: &Object, now: Timestamp) -> Reuse {
        reusable(object, &self.ask, self.rules(), now)
    }

    /// What of `object` the viewer gets now.
    pub(super) fn chosen<'a>(&self, object: &'a Object) -> Chosen<'a> {
        Chosen::of(&self.ask, self.rules(), object)
    }

    pub(super) fn count(&self, result: CacheResult) {
        self.site
            .meters
            .requests(self.route.behaviour().index)
            .count(result);
    }

    /// What the answer says about itself.
    pub(super) fn report(&self, outcome: Outcome, status: CacheStatus, age: Option<u32>) -> Report {
        Report {
            outcome,
            status,
            age,
            request_id: self.request_id.clone(),
            timing: self.timing(),
        }
    }

    /// How long the request has waited, where the answer is to say so.
    pub(super) fn timing(&self) -> Option<Timing> {
        let since = self.since?;
        let waited = self.edge.clock.instant().saturating_duration_since(since);
        Some(Timing { waited })
    }

    /// Counts `bytes` that a coding spared the viewer.
    pub(super) fn saved(&self, bytes: usize) {
        let meters = self.site.meters.behaviour(self.route.behaviour().index);
        meters.saved_bytes.more(bytes as u64);
    }

    /// Begins now.
    pub(super) fn wait(&self) -> Wait {
        let behaviour = self.route.behaviour().index;
        let clock = self.edge.clock;
        Wait {
            since: clock.instant(),
            clock,
            took: self.site.meters.behaviour(behaviour).viewer_head.clone(),
        }
    }

    /// Counts how long the viewer has waited for an answer that was not at hand.
    pub(super) fn waited(&self, since: Instant, now: Instant) {
        let behaviour = self.route.behaviour().index;
        let meters = self.site.meters.behaviour(behaviour);
        meters
            .viewer_head
            .observe(now.saturating_duration_since(since));
    }

    pub(super) fn meter(&self) -> reply::Meter {
        let behaviour = self.route.behaviour().index;
        reply::Meter {
            meters: self.site.meters.clone(),
            behaviour,
        }
    }
}

//! What a worker's thread owns and answers with.

use std::{future::Future, sync::Arc};

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Outside;
use crate::{
    flight::Flights,
    ledger::Ledger,
    listen::Respond,
    origin::Origins,
    policy::lines::Lines,
    serve::{
        Arrival, Edge, Plain, PlainAsk, PlainHead, Recoder, Refreshes, ReplyBody, RequestIds,
        Searches, Site, Viewer,
    },
    store::Store,
};

/// Answers the requests of one worker.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    edge: Arc<Edge>,
    /// Tells of the end of the thread that owns this, however it ends.
    _alive: Arc<DropGuard>,
}

impl Serving {
    /// Answers with `edge`; `lost` is cancelled when the worker is gone.
    pub(super) fn new(edge: Arc<Edge>, lost: CancellationToken) -> Self {
        Self {
            edge,
            _alive: Arc::new(lost.drop_guard()),
        }
    }
}

impl Respond for Serving {
    type Body = ReplyBody;
    type Asked = PlainAsk;

    fn at_hand(
        &self,
        head: impl FnOnce() -> Option<PlainHead>,
        viewer: &Viewer,
        out: &mut Lines,
    ) -> Option<Plain<PlainAsk>> {
        self.edge.at_hand(head, viewer, out)
    }

    fn respond_plain(
        self,
        asked: PlainAsk,
        viewer: Viewer,
    ) -> impl Future<Output = Response<ReplyBody>> + Send {
        self.edge.respond_plain(asked, viewer)
    }

    fn respond(
        self,
        request: Request<Incoming>,
        viewer: Viewer,
    ) -> impl Future<Output = Response<ReplyBody>> + Send {
        self.edge.respond(request, viewer)
    }
}

/// A worker's edge: its own connections to origins, and everything else shared.
pub(super) fn edge(
    outside: &Outside,
    site: &Arc<ArcSwap<Site>>,
    store: &Store,
    ledger: &Ledger,
    searches: &Searches,
    flights: &Flights<Arrival>,
) -> Arc<Edge> {
    Arc::new(Edge {
        site: site.clone(),
        store: store.clone(),
        ledger: ledger.clone(),
        searches: searches.clone(),
        flights: flights.clone(),
        refreshes: Refreshes::default(),
        recoder: Recoder::default(),
        origins: Origins::new(outside.dial.clone(), outside.clock),
        clock: outside.clock,
        events: outside.events.clone(),
        ids: RequestIds::new(),
    })
}

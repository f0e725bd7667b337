//! A fetch for the store: ask, settle, fill, in a task that no viewer owns.

use std::sync::Arc;

use http::{HeaderMap, Response};
use tokio::sync::oneshot;

use super::{
    Interims, ReplyBody, Way,
    led::{self, Led, Passing},
    outbound::Outbound,
    partial::{self, Rest},
    recode,
    remember::{is_alone, remember},
    synth,
};
use crate::{
    flight::Lease,
    origin::{FetchError, Fetched, Sent},
    policy::{
        Failure, Key, deliver,
        failover::{Blame, Phase, Retry},
        forward::Purpose,
        marks::Mode,
        outgoing::{self, Outgoing},
        partial::rest,
        settle::{self, Settled, Stored, Times},
        validate,
    },
    store::Object,
};

mod keep;
mod told;

pub use told::Arrival;

use told::Told;

/// One fetch of one key.
pub(super) struct Errand {
    way: Arc<Way>,
    key: Key,
    /// The key of its flight: the same, or that of some of the requests with it.
    flight: Key,
    fwd: &'static str,
    /// What is validated or replaced.
    stale: Option<Arc<Object>>,
    /// What is only asked to be completed; nothing is stale then.
    part: Option<Arc<Object>>,
    /// Where the interim responses to the first attempt go: they announce the same again.
    interims: Option<Interims>,
}

impl Errand {
    pub(super) fn new(
        way: Arc<Way>,
        (key, flight): (Key, Key),
        fwd: &'static str,
        stale: Option<Arc<Object>>,
    ) -> Self {
        Self {
            way,
            key,
            flight,
            fwd,
            stale,
            part: None,
            interims: None,
        }
    }

    /// Runs it in a task of its own and answers the viewer with what it brings. Dropping
    /// the future leaves the task alone.
    pub(super) async fn lead(mut self, lease: Option<Lease<Arrival>>) -> Response<ReplyBody> {
        let (way, key) = (self.way.clone(), self.key);
        self.interims = way.interims.clone();
        if self.stale.is_none() {
            self.part = way.part_to_complete();
        }
        // "The cache was able to use part of a stored response" (RFC 9211 §2.2: partial).
        let fwd = self.part.as_ref().map_or(self.fwd, |_| "partial");
        let (report, led) = oneshot::channel();
        // Boxed, since a task is copied some times on its way to where it runs.
        tokio::spawn(Box::pin(self.run(lease, Some(report))));
        match led.await {
            Ok(led) => {
                if let Led::Refreshed(object) | Led::Stale(object, _) = &led {
                    recode::ready(&way, key, object).await;
                }
                led::answer(&way, fwd, led)
            }
            // The task panicked, or the worker is shutting down.
            Err(_) => synth::broke(&way, fwd),
        }
    }

    /// Fetches, tells followers through `lease` and the viewer through `report`, and stores.
    pub(super) async fn run(
        self,
        lease: Option<Lease<Arrival>>,
        report: Option<oneshot::Sender<Led>>,
    ) {
        let mut told = Told { lease, report };
        let mut errand = self;
        // At most twice: the second time without a condition, which no 304 answers.
        while let Some(again) = errand.attempt(&mut told).await {
            errand = again;
        }
    }

    /// Asks once; another errand when the answer was about something else.
    async fn attempt(mut self, told: &mut Told) -> Option<Self> {
        let edge = self.way.edge.clone();
        // As long as it lives, what is invalidated from now on is remembered for the answer.
        let birth = edge.ledger.birth();
        // What was invalidated since it was found is no validator either.
        let gone = |stale: &Object| edge.judged(stale, birth.born()) == Some(Mode::Hard);
        self.stale = self.stale.filter(|stale| !gone(stale));
        // What the origin is about to be asked with, and what would be validated.
        let stored = self.stale.as_ref().map(|stale| stale.head.to_map());
        let (asked, born) = (edge.clock.now(), birth.born());
        let interims = self.interims.take();
        let outgoing = outgoing(&self.way, stored.as_ref(), self.part.as_deref());
        let Some(outgoing) = outgoing else {
            told.failed(UNSENDABLE);
            return None;
        };
        let request = Outbound {
            outgoing,
            interims: interims.as_ref(),
        };
        let origin = &self.way.route.behaviour().origin;
        let fetched = edge.origins.send(origin, &request, Sent::empty()).await;
        let times = Times {
            asked,
            received: edge.clock.now(),
            born,
        };
        match fetched {
            Ok(fetched) => self.answered(fetched, stored, times, told).await,
            Err(error) => {
                self.failed(&error, times, told);
                None
            }
        }
    }

    /// What may stand in for a failing origin: not what was invalidated meanwhile.
    fn standing_in(&self) -> Option<&Arc<Object>> {
        let stale = self.stale.as_ref();
        stale.filter(|stale| !self.way.edge.ended(stale))
    }

    fn failed(self, error: &FetchError, times: Times, told: &mut Told) {
        log_failure(&self.way, error);
        let meta = self.standing_in().map(|stale| &stale.meta);
        match (settle::failed(meta, times.received), self.stale) {
            (Settled::ServeStale(standing), Some(stale)) => told.stale(stale, standing),
            (_, stale) => {
                if is_alone(self.fwd, stale.as_ref()) {
                    remember(&self.way, self.key, error.failure(), times);
                }
                told.failed(*error.failure());
            }
        }
    }

    async fn answered(
        self,
        fetched: Fetched,
        stored: Option<HeaderMap>,
        times: Times,
        told: &mut Told,
    ) -> Option<Self> {
        let (way, status) = (&*self.way, fetched.head.status);
        let meters = &way.site.meters;
        meters.origin_took(way.route.behaviour().index, fetched.timings.first_byte);
        let headers = deliver::end_to_end(fetched.head.headers, fetched.head.version);
        if let Some(part) = &self.part {
            let answer = (status, &headers);
            match partial::completed(way, part, answer, &fetched.body, times) {
                Rest::Fits(meta, whole) => {
                    let answer = (status, &whole);
                    self.fill(*meta, answer, fetched.body, told).await;
                    return None;
                }
                Rest::Anew => {
                    way.forget_part(part);
                    return Some(Self { part: None, ..self });
                }
                Rest::Other => way.outdate_part(status, &headers),
            }
        }
        // What was invalidated meanwhile is no stand-in for an error.
        let stands = !status.is_server_error() || self.standing_in().is_some();
        let old = self.stale.as_ref().zip(stored.as_ref());
        let old = old.filter(|_| stands).map(|(stale, headers)| Stored {
            meta: &stale.meta,
            headers,
        });
        let settled = settle::answered(&way.ask, way.rules(), old, (status, &headers), times);
        let settled = match settled {
            Settled::Store(meta) => match self.may_keep(&meta, &fetched.body) {
                Ok(()) => Settled::Store(meta),
                Err(why) => Settled::PassOn(why),
            },
            settled => settled,
        };
        match (settled, self.stale.clone()) {
            (Settled::Store(meta), _) => {
                self.fill(meta, (status, &headers), fetched.body, told)
                    .await;
            }
            (Settled::Refresh(headers, meta), Some(stale)) => {
                self.refreshed(stale, headers, meta, times, told);
            }
            (Settled::ServeStale(standing), Some(stale)) => told.stale(stale, standing),
            (Settled::PassOn(why), stale) => {
                way.edge.events.not_stored(why.as_str());
                if !status.is_server_error() {
                    // What was stored is no longer what the origin says, unless it only says
                    // that to whoever has credentials.
                    if let Some(stale) = stale.filter(|_| !why.is_about_credentials()) {
                        way.edge.store.forget(self.key, &stale);
                    }
                    if why.lasts() {
                        way.edge.flights.mark_unshared(self.flight, times.received);
                    }
                    told.announce(Arrival::Unshareable);
                }
                told.land();
                let body = fetched.body;
                told.report(Led::Passing(Box::new(Passing {
                    status,
                    headers,
                    body,
                    why,
                })));
            }
            // Nothing was stored that could be refreshed or served.
            (Settled::AskAnew, Some(_)) => {
                return Some(Self {
                    stale: None,
                    ..self
                });
            }
            (
                Settled::Refresh(..) | Settled::ServeStale(_) | Settled::AskAnew | Settled::Fail,
                _,
            ) => told.failed(UNSENDABLE),
        }
        None
    }
}

/// A request that cannot be expressed, or an answer that answers nothing we asked.
const UNSENDABLE: Failure = Failure {
    blame: Blame::Origin,
    phase: Phase::Head,
    timed_out: false,
    retry: Retry::No,
};

/// The request to the origin, with the conditions that validate `stored`, or those
/// that ask for the rest of `part`.
fn outgoing<'a>(
    way: &'a Way,
    stored: Option<&HeaderMap>,
    part: Option<&Object>,
) -> Option<Outgoing<'a>> {
    let target = &way.route.behaviour().origin.target;
    let mut outgoing = outgoing::request(&way.ask, way.rules(), target, Purpose::Fill).ok()?;
    if let Some(stored) = stored {
        outgoing.condition(validate::conditions(stored));
    }
    // That it is fresh enough was seen when it was found.
    if let Some(rest) = part.and_then(|part| rest(&part.head.to_map(), true)) {
        outgoing.condition(rest);
    }
    Some(outgoing)
}

/// Counts and logs a failure, unless it was the viewer's own.
pub(super) fn log_failure(way: &Way, error: &FetchError) {
    if error.failure().blame == Blame::Viewer {
        return;
    }
    let origin = &way.route.behaviour().origin;
    way.edge
        .events
        .origin_failed(&origin.id, error.failure(), error, way.edge.clock.now());
}

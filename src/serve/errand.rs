//! A fetch for the store: ask, settle, fill, in a task that no viewer owns.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

use super::{
    Interims, ReplyBody, Way,
    led::{self, Led, Passing, passing_on},
    partial::{self, Rest},
    recode,
    remember::{is_alone, remember},
    synth,
};
use crate::{
    flight::Lease,
    origin::{FetchError, Fetched, Received, Sent},
    policy::{
        Failure, Key, Meta, WhyNot,
        deliver::{self, CacheStatus},
        failover::Blame,
        forward::{self, Outgoing, Purpose},
        marks::Mode,
        partial::{Kept, Part, rest},
        reuse::{self, Standing},
        settle::{self, Settled, Stored, Times},
        validate,
    },
    store::{Fill, Object, Unkept, Writer},
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

/// What a body that is read must come to.
#[derive(Default)]
struct Whole {
    /// What comes before it.
    start: Bytes,
    /// How many bytes the two must have; `None` where the framing alone says so.
    bytes: Option<u64>,
    /// Whether that was promised to whoever reads it, so that it may not end otherwise.
    promised: bool,
}

impl Whole {
    /// What `part`, if there is one, and its rest must come to.
    fn of(part: Option<&Object>) -> Self {
        let place = part.and_then(|part| Part::of(&part.head.to_map()));
        Self {
            start: part.map(|part| part.body.clone()).unwrap_or_default(),
            bytes: place.map(Part::complete),
            promised: place.is_some(),
        }
    }
}

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
        tokio::spawn(self.run(lease, Some(report)));
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
        let Some(mut request) = request(&self.way, stored.as_ref(), self.part.as_deref()) else {
            told.failed(UNSENDABLE);
            return None;
        };
        if let Some(interims) = self.interims.take() {
            request.extensions_mut().insert(interims.on_interim());
        }
        let origin = &self.way.route.behaviour().origin;
        let fetched = edge.origins.send(origin, request).await;
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

    /// Whether an answer may be kept, as far as its head tells.
    pub(super) fn may_keep(&self, meta: &Meta, body: &Received) -> Result<(), WhyNot> {
        if self.way.edge.covers(meta) {
            return Err(WhyNot::Invalidated);
        }
        if !body.framed() {
            return Err(WhyNot::Unframed);
        }
        let announced = body.size_hint().exact();
        if announced.is_some_and(|bytes| bytes > self.way.edge.store.object_max()) {
            return Err(WhyNot::TooLarge);
        }
        Ok(())
    }

    /// Reads the body for the viewer, for those who come meanwhile, and for the store.
    ///
    /// It is what the origin answered with `status`, after the part that this completes.
    async fn fill(
        &self,
        meta: Meta,
        (status, headers): (StatusCode, &HeaderMap),
        body: Received,
        told: &mut Told,
    ) {
        let edge = &self.way.edge;
        let shareable = reuse::shareable(&meta, edge.clock.now());
        let (fill, writer, kept_back) = self.open(meta, headers);
        let reader = fill.reader();
        if shareable {
            told.announce(Arrival::Filling(fill.clone()));
            edge.flights.mark_shared(self.flight);
        } else {
            told.announce(Arrival::Unshareable);
            edge.flights.mark_unshared(self.flight, edge.clock.now());
        }
        if let Some(reader) = reader {
            told.report(Led::Filling {
                reader,
                kept_back,
                status,
            });
        }
        let part = self.part.as_deref();
        let part = part.filter(|_| status == StatusCode::PARTIAL_CONTENT);
        let kept = self.pour(body, Whole::of(part), &fill, writer).await;
        // Only now the flight ends: whoever looks next finds what was kept.
        told.land();
        if let Some((key, object)) = kept {
            recode::filled(&self.way, key, &object).await;
        }
    }

    /// A fill for an answer with `headers`, and the fields of it that are not stored.
    fn open(&self, meta: Meta, headers: &HeaderMap) -> (Fill, Writer, HeaderMap) {
        let (store, rules) = (&self.way.edge.store, self.way.rules());
        let kept_back = deliver::kept_back(headers, rules);
        let headers = deliver::as_stored(headers, rules, meta.received, meta.recodable);
        let (fill, writer) = Fill::new(meta, headers, store.charge(0), store.clone());
        (fill, writer, kept_back)
    }

    /// Reads `body` to its end, and keeps the answer if it may be; what was kept.
    async fn pour(
        &self,
        body: Received,
        whole: Whole,
        fill: &Fill,
        writer: Writer,
    ) -> Option<(Key, Arc<Object>)> {
        let edge = &self.way.edge;
        let bytes = read(&self.way, whole.start, body, &writer).await?;
        let wrong = whole.bytes.is_some_and(|whole| whole != bytes);
        if wrong {
            edge.events.not_stored(WhyNot::Partial.as_str());
            // What was promised breaks off; what the origin said itself ends as it came.
            if !whole.promised {
                writer.finish();
            }
            return None;
        }
        let parts = writer.finish()?;
        if edge.covers(fill.meta()) {
            edge.events.not_stored(WhyNot::Invalidated.as_str());
            return None;
        }
        let head = (fill.meta().clone(), fill.headers());
        let key = self.store_key(fill.meta());
        match edge.store.keep(key, head, &parts, edge.clock.now()) {
            Ok(object) => {
                if let Some(part) = &self.part {
                    self.way.forget_part(part);
                }
                Some((key, object))
            }
            Err(unkept) => {
                edge.events.not_stored(why_unkept(unkept).as_str());
                None
            }
        }
    }

    /// Where an answer is stored: where the next who asks will look for it.
    fn store_key(&self, meta: &Meta) -> Key {
        if meta.status == StatusCode::PARTIAL_CONTENT {
            self.way.part_key()
        } else if self.way.rules().no_vary_search {
            self.way.stored_under(meta.search.as_deref())
        } else {
            self.key
        }
    }

    /// Answers the viewer with what was fetched for it, and stores that beside.
    pub(super) fn beside(
        self,
        kept: Kept,
        (status, headers): (StatusCode, HeaderMap),
        body: Received,
        said: CacheStatus,
    ) -> Response<ReplyBody> {
        let way = self.way.clone();
        if self.may_keep(&kept.meta, &body).is_err() {
            let body = ReplyBody::passing(body, way.meter());
            return passing_on(&way, status, headers, body, said);
        }
        let (fill, writer, _) = self.open(kept.meta, &kept.headers);
        // A fill just opened has its first byte still before it.
        let reader = fill.reader();
        let whole = Whole {
            bytes: kept.bytes,
            ..Whole::default()
        };
        tokio::spawn(async move { self.pour(body, whole, &fill, writer).await });
        let body = match reader {
            Some(reader) => ReplyBody::filling(reader, way.meter()),
            None => ReplyBody::empty(way.meter()),
        };
        let said = CacheStatus {
            stored: true,
            ..said
        };
        passing_on(&way, status, headers, body, said)
    }

    /// The origin confirmed what was stored (RFC 9111 §4.3.4).
    fn refreshed(
        &self,
        stale: Arc<Object>,
        headers: HeaderMap,
        meta: Result<Meta, WhyNot>,
        times: Times,
        told: &mut Told,
    ) {
        let (edge, way) = (&self.way.edge, &*self.way);
        let recodable = meta.as_ref().ok().and_then(|meta| meta.recodable);
        let headers = deliver::as_stored(&headers, way.rules(), times.received, recodable);
        let kept = meta.and_then(|meta| {
            // What was gone before the 304 came stays gone, even if that names other tags.
            let was = edge.ledger.covers(&stale.meta.marks, meta.born);
            if was.is_some() || edge.covers(&meta) {
                return Err(WhyNot::Invalidated);
            }
            let shareable = reuse::shareable(&meta, times.received);
            let key = self.store_key(&meta);
            let head = (meta, &headers);
            let kept = edge.store.refresh(key, &stale, head, times.received);
            kept.map(|object| (object, shareable)).map_err(why_unkept)
        });
        match kept {
            Ok((object, true)) => {
                edge.flights.mark_shared(self.flight);
                told.announce(Arrival::Stored(object.clone()));
                told.report(Led::Refreshed(object));
            }
            Ok((object, false)) => {
                edge.flights.mark_unshared(self.flight, times.received);
                told.announce(Arrival::Unshareable);
                told.report(Led::Refreshed(object));
            }
            Err(why) => {
                edge.events.not_stored(why.as_str());
                // What was invalidated softly meanwhile goes on serving until it is confirmed.
                if why != WhyNot::Invalidated {
                    edge.store.forget(self.key, &stale);
                }
                told.announce(Arrival::Unshareable);
                told.report(Led::Once(headers, stale, why));
            }
        }
    }
}

/// A request that cannot be expressed, or an answer that answers nothing we asked.
const UNSENDABLE: Failure = Failure {
    blame: Blame::Origin,
    phase: crate::policy::failover::Phase::Head,
    timed_out: false,
    retry: crate::policy::failover::Retry::No,
};

const fn why_unkept(unkept: Unkept) -> WhyNot {
    match unkept {
        Unkept::NoRoom => WhyNot::NoRoom,
        Unkept::TooManyVariants => WhyNot::TooManyVariants,
    }
}

/// Who hears of an errand: the followers, and the viewer that sent it.
struct Told {
    lease: Option<Lease<Arrival>>,
    report: Option<oneshot::Sender<Led>>,
}

impl Told {
    fn announce(&self, arrival: Arrival) {
        if let Some(lease) = &self.lease {
            lease.announce(arrival);
        }
    }

    /// A viewer that has left hears nothing, and what it would have got is dropped.
    fn report(&mut self, led: Led) {
        if let Some(report) = self.report.take() {
            let _ = report.send(led);
        }
    }

    fn land(&mut self) {
        self.lease = None;
    }

    fn stale(&mut self, object: Arc<Object>, standing: Standing) {
        self.announce(Arrival::Stale(object.clone()));
        self.report(Led::Stale(object, standing));
    }

    fn failed(&mut self, failure: Failure) {
        self.announce(Arrival::Failed(failure));
        self.report(Led::Failed(failure));
    }
}

/// The request to the origin, with the conditions that validate `stored`, or those
/// that ask for the rest of `part`.
fn request(way: &Way, stored: Option<&HeaderMap>, part: Option<&Object>) -> Option<Request<Sent>> {
    let target = &way.route.behaviour().origin.target;
    let mut outgoing = forward::request(&way.ask, way.rules(), target, Purpose::Fill).ok()?;
    if let Some(stored) = stored {
        outgoing.headers.extend(validate::conditions(stored));
    }
    // That it is fresh enough was seen when it was found.
    if let Some(rest) = part.and_then(|part| rest(&part.head.to_map(), true)) {
        outgoing.headers.extend(rest);
    }
    Some(outgoing_request(outgoing, Sent::empty()))
}

/// `outgoing` as a message.
pub(super) fn outgoing_request(outgoing: Outgoing, body: Sent) -> Request<Sent> {
    let mut request = Request::new(body);
    *request.method_mut() = outgoing.method;
    *request.uri_mut() = Uri::from(outgoing.target);
    *request.headers_mut() = outgoing.headers;
    request
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

/// Reads `start` and `body` to their end; how many bytes they had. Trailers are not kept,
/// and not needed: "a recipient MAY ... discard" them (RFC 9110 §6.5.1).
async fn read(way: &Way, start: Bytes, mut body: Received, writer: &Writer) -> Option<u64> {
    let mut bytes = start.len() as u64;
    writer.push(start).await.ok()?;
    let mut body = Pin::new(&mut body);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let Ok(chunk) = frame.into_data() else {
                    continue;
                };
                bytes += chunk.len() as u64;
                writer.push(chunk).await.ok()?;
            }
            Err(error) => {
                log_failure(way, &error);
                return None;
            }
        }
    }
    Some(bytes)
}

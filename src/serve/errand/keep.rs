//! What a fetch keeps: an answer that is read for the viewer, for those who come meanwhile
//! and for the store, and a stored one that was confirmed.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{Arrival, Errand, Told, log_failure};
use crate::{
    origin::Received,
    policy::{
        Key, Meta, WhyNot,
        deliver::{self, CacheStatus},
        partial::{Kept, Part},
        reuse,
        settle::Times,
    },
    serve::{
        ReplyBody, Way,
        led::{Led, passing_on},
        recode,
    },
    store::{Fill, Object, Unkept, Writer},
};

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
            start: part.map(|part| part.body().share()).unwrap_or_default(),
            bytes: place.map(Part::complete),
            promised: place.is_some(),
        }
    }
}

impl Errand {
    /// Whether an answer may be kept, as far as its head tells.
    pub(in crate::serve) fn may_keep(&self, meta: &Meta, body: &Received) -> Result<(), WhyNot> {
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
    pub(super) async fn fill(
        &self,
        meta: Meta,
        (status, headers): (StatusCode, &HeaderMap),
        body: Box<Received>,
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
        body: Box<Received>,
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
    pub(in crate::serve) fn beside(
        self,
        kept: Kept,
        (status, headers): (StatusCode, HeaderMap),
        body: Box<Received>,
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
    pub(super) fn refreshed(
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

const fn why_unkept(unkept: Unkept) -> WhyNot {
    match unkept {
        Unkept::NoRoom => WhyNot::NoRoom,
        Unkept::TooManyVariants => WhyNot::TooManyVariants,
    }
}

/// Reads `start` and `body` to their end; how many bytes they had. Trailers are not kept,
/// and not needed: "a recipient MAY ... discard" them (RFC 9110 §6.5.1).
async fn read(way: &Way, start: Bytes, mut body: Box<Received>, writer: &Writer) -> Option<u64> {
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

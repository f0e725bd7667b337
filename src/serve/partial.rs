//! Parts of answers that are not whole here: served, kept, and made complete.
//!
//! A part is looked for only where a range, or the rest of a whole, is about to be asked
//! of the origin; a hit never sees one. It is never announced to a flight's followers:
//! those get the whole that it was made into, or nothing of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    ReplyBody, Way,
    errand::Errand,
    hit,
    led::{self, passing_on},
    recode::Chosen,
};
use crate::{
    observe::CacheResult,
    origin::Received,
    policy::{
        Key, Meta, WhyNot,
        deliver::{CacheStatus, Outcome},
        partial::{self, Part},
        reuse::{self, Reuse},
        settle::{self, Settled, Times},
        validate,
    },
    store::{Found, Object},
};

/// What came of asking for the rest of a part.
pub(super) enum Rest {
    /// It fits: the two are the whole, which has these fields.
    Fits(Box<Meta>, HeaderMap),
    /// It does not fit: the whole must be asked for.
    Anew,
    /// Something else, which is an answer of its own.
    Other,
}

impl Way {
    /// Where parts of the answer are kept.
    pub(super) fn part_key(&self) -> Key {
        partial::key(&self.ask, self.rules())
    }

    /// The part that is kept of the variant that is asked for; one that was invalidated, in
    /// whatever way, is none.
    fn part(&self) -> Option<Arc<Object>> {
        match self.find(self.part_key()) {
            Found::Object(object) => Some(object).filter(|part| !self.edge.ended(part)),
            Found::Nothing | Found::OtherVariants => None,
        }
    }

    /// Forgets `part`, unless a newer one has taken its place.
    pub(super) fn forget_part(&self, part: &Arc<Object>) {
        self.edge.store.forget(self.part_key(), part);
    }

    /// Forgets the part that the answer with `status` and `headers` shows to be outdated.
    pub(super) fn outdate_part(&self, status: StatusCode, headers: &HeaderMap) {
        if let Some(part) = self.part()
            && partial::outdated(&part.head.to_map(), status, headers)
        {
            self.forget_part(&part);
        }
    }

    /// Forgets the part that a 200 to HEAD with `headers` is not about (RFC 9111 §4.3.5).
    pub(super) fn compare_part(&self, headers: &HeaderMap) {
        let Some(part) = self.part() else { return };
        let stored = part.head.to_map();
        let complete = Part::of(&stored).map_or(0, Part::complete);
        if !validate::confirmed_by_head(&stored, complete, headers) {
            self.forget_part(&part);
        }
    }

    /// The part whose rest is worth asking for instead of the whole.
    pub(super) fn part_to_complete(&self) -> Option<Arc<Object>> {
        let part = self.part()?;
        let stored = part.head.to_map();
        let fits = Part::of(&stored)?.complete() <= self.edge.store.object_max();
        let fresh = self.standing(&part).is_some();
        (fits && partial::rest(&stored, fresh).is_some()).then_some(part)
    }

    /// How `part` stands, if it may be used as it is.
    fn standing(&self, part: &Object) -> Option<reuse::Standing> {
        match reuse::reuse(&part.meta, &self.ask, self.rules(), self.edge.clock.now()) {
            Reuse::Serve(standing) => Some(standing),
            // A part is not worth a refresh of its own.
            Reuse::ServeAndRefresh(_) | Reuse::Validate(_) => None,
        }
    }
}

/// The answer from a part that holds all of what is wanted, if there is one.
pub(super) fn stored(way: &Way) -> Option<Response<ReplyBody>> {
    let part = partial::wanted(&way.ask).then(|| way.part()).flatten()?;
    let standing = way.standing(&part)?;
    let slice = slice(way, &part)?;
    way.count(CacheResult::Hit);
    let status = CacheStatus::hit(standing);
    let own = Chosen::own(&part);
    let whole = hit::stored(way, &part, own, standing.age, Outcome::Hit, status);
    Some(cut(way, slice, whole))
}

/// The same from a stale one, because the origin fails (RFC 5861 §4).
pub(super) fn stale(way: &Way) -> Option<Response<ReplyBody>> {
    let part = partial::wanted(&way.ask).then(|| way.part()).flatten()?;
    let slice = slice(way, &part)?;
    match settle::failed(Some(&part.meta), way.edge.clock.now()) {
        Settled::ServeStale(standing) => {
            Some(cut(way, slice, led::stale(way, "stale", &part, standing)))
        }
        Settled::Store(_)
        | Settled::Refresh(..)
        | Settled::PassOn(_)
        | Settled::AskAnew
        | Settled::Fail => None,
    }
}

/// The bytes of `part` that are wanted, and their place.
fn slice(way: &Way, part: &Object) -> Option<(Bytes, HeaderValue)> {
    let place = Part::of(&part.head.to_map())?;
    let (own, content_range) = place.slice(&way.ask, hit::validators(&part.head), way.ask.at)?;
    // What was kept has as many bytes as it says.
    let body = part.body();
    body.get(own.clone())?;
    Some((body.slice(own), content_range))
}

/// Cuts `answer`, which is all of a part, down to these bytes of it.
fn cut(
    way: &Way,
    (bytes, content_range): (Bytes, HeaderValue),
    mut answer: Response<ReplyBody>,
) -> Response<ReplyBody> {
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_RANGE, content_range);
    headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    answer.map(|_part| ReplyBody::whole(bytes, way.meter()))
}

/// Answers a request for a range with what the origin said to it, and keeps that where it
/// may be kept: as a part, or as the whole that it is.
pub(super) fn keep(
    way: Way,
    (key, fwd): (Key, &'static str),
    (status, headers): (StatusCode, HeaderMap),
    body: Box<Received>,
    times: Times,
) -> Response<ReplyBody> {
    way.outdate_part(status, &headers);
    let kept = partial::kept(&way.ask, way.rules(), (status, &headers), times);
    let way = Arc::new(way);
    let errand = Errand::new(way.clone(), (key, key), fwd, None);
    let kept = kept.and_then(|kept| {
        let announced = http_body::Body::size_hint(&body).exact();
        // "bytes 4-9/10" with five bytes: one of the two is wrong.
        if kept.bytes.is_some() && announced.is_some() && kept.bytes != announced {
            return Err(WhyNot::Partial);
        }
        errand.may_keep(&kept.meta, &body)?;
        Ok(kept)
    });
    let said = CacheStatus::forwarded(fwd, status);
    match kept {
        Ok(kept) => {
            way.count(CacheResult::Miss);
            let ttl = reuse::standing(&kept.meta, times.received).ttl;
            let said = CacheStatus {
                ttl: Some(ttl),
                ..said
            };
            errand.beside(kept, (status, headers), body, said)
        }
        Err(why) => {
            way.count(CacheResult::Pass);
            let body = ReplyBody::passing(body, way.meter());
            passing_on(&way, status, headers, body, said.unstored(why))
        }
    }
}

/// What the answer with `status` and `headers` is to `part`, whose rest was asked for.
pub(super) fn completed(
    way: &Way,
    part: &Object,
    (status, headers): (StatusCode, &HeaderMap),
    body: &Received,
    times: Times,
) -> Rest {
    match status {
        StatusCode::PARTIAL_CONTENT => {}
        // Answers to the range and the condition that we put there, not to the viewer.
        StatusCode::NOT_MODIFIED
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::RANGE_NOT_SATISFIABLE => return Rest::Anew,
        _ => return Rest::Other,
    }
    let whole = partial::combined(&part.head.to_map(), headers);
    let lacking = Part::of(headers).map(Part::bytes);
    let announced = http_body::Body::size_hint(body).exact();
    let sound = body.framed() && (announced.is_none() || announced == lacking);
    // What was invalidated since it was found lends no byte to what is newer.
    let Some(whole) = whole.filter(|_| sound && !way.edge.ended(part)) else {
        return Rest::Anew;
    };
    let (marks, head) = (&part.meta.marks, (StatusCode::OK, &whole));
    match settle::renewed(&way.ask, way.rules(), marks, head, times) {
        Ok(meta) => Rest::Fits(Box::new(meta), whole),
        Err(_) => Rest::Anew,
    }
}

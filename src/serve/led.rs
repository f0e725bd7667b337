//! What an errand brought, as the answer to the viewer that sent it.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};

use super::{ReplyBody, Way, hit, recode::Chosen, synth};
use crate::{
    fields::tags,
    observe::CacheResult,
    origin::Received,
    policy::{
        Failure, WhyNot,
        deliver::{CacheStatus, Outcome},
        reuse::{self, Standing},
    },
    store::{Object, Reader},
};

/// What an errand brings to the viewer that sent it.
pub(super) enum Led {
    /// An answer that is being stored, and the fields of it that are not.
    Filling {
        reader: Reader,
        kept_back: HeaderMap,
        /// What the origin answered with: 206 where it was asked for the rest of a part.
        status: StatusCode,
    },
    /// The stored answer, confirmed.
    Refreshed(Arc<Object>),
    /// The stored answer with new fields, confirmed but not kept.
    Once(HeaderMap, Arc<Object>, WhyNot),
    /// The stored answer, stale, instead of an error.
    Stale(Arc<Object>, Standing),
    /// An answer for this viewer alone.
    Passing(Box<Passing>),
    /// None.
    Failed(Failure),
}

/// An answer that is not stored.
pub(super) struct Passing {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Box<Received>,
    pub(super) why: WhyNot,
}

/// The viewer's answer from what its errand brought.
pub(super) fn answer(way: &Arc<Way>, fwd: &'static str, led: Led) -> Response<ReplyBody> {
    let now = way.edge.clock.now();
    match led {
        Led::Filling {
            reader,
            kept_back,
            status,
        } => {
            way.count(CacheResult::Miss);
            let ttl = Some(reuse::standing(reader.fill().meta(), now).ttl);
            let status = CacheStatus {
                stored: true,
                ttl,
                ..CacheStatus::forwarded(fwd, status)
            };
            let mut answer = filling(way, reader, Outcome::Miss, status);
            answer.headers_mut().extend(kept_back);
            answer
        }
        Led::Refreshed(object) => {
            way.count(CacheResult::RefreshHit);
            let standing = reuse::standing(&object.meta, now);
            let not_modified = CacheStatus::forwarded(fwd, StatusCode::NOT_MODIFIED);
            let status = CacheStatus {
                stored: true,
                ttl: Some(standing.ttl),
                ..not_modified
            };
            let chosen = way.chosen(&object);
            hit::stored(
                way,
                &object,
                chosen,
                standing.age,
                Outcome::RefreshHit,
                status,
            )
        }
        Led::Once(headers, object, why) => {
            way.count(CacheResult::RefreshHit);
            let status = CacheStatus::forwarded(fwd, StatusCode::NOT_MODIFIED).unstored(why);
            // Its new fields are those of the origin's own bytes.
            let chosen = Chosen::own(&object);
            let mut answer = hit::stored(way, &object, chosen, 0, Outcome::RefreshHit, status);
            replace(answer.headers_mut(), headers);
            answer
        }
        Led::Stale(object, standing) => stale(way, fwd, &object, standing),
        Led::Passing(passing) => {
            let Passing {
                status,
                headers,
                body,
                why,
            } = *passing;
            way.count(CacheResult::Miss);
            let said = CacheStatus::forwarded(fwd, status).unstored(why);
            passing_on(
                way,
                status,
                headers,
                ReplyBody::passing(body, way.meter()),
                said,
            )
        }
        Led::Failed(failure) => synth::failed(way, fwd, &failure),
    }
}

/// The stored answer, stale, because the origin fails (RFC 5861 §4).
pub(super) fn stale(
    way: &Way,
    fwd: &'static str,
    object: &Object,
    standing: Standing,
) -> Response<ReplyBody> {
    way.count(CacheResult::Stale);
    let status = CacheStatus {
        fwd: Some(fwd),
        detail: Some("stale-if-error"),
        ..CacheStatus::hit(standing)
    };
    let chosen = way.chosen(object);
    hit::stored(way, object, chosen, standing.age, Outcome::Hit, status)
}

/// Puts `fresh` in the place of what an answer says under the same names.
fn replace(headers: &mut HeaderMap, fresh: HeaderMap) {
    for name in fresh.keys() {
        headers.remove(name);
    }
    headers.extend(fresh);
}

/// An answer that is read while it arrives.
pub(super) fn filling(
    way: &Way,
    reader: Reader,
    outcome: Outcome,
    status: CacheStatus,
) -> Response<ReplyBody> {
    let fill = reader.fill().clone();
    let mut headers = fill.headers().clone();
    // "The presence of an Age header field implies that the response was not generated or
    // validated by the origin server for this request" (RFC 9111 §5.1).
    let age = reuse::standing(fill.meta(), way.edge.clock.now()).age;
    let age = (age > 0 || outcome == Outcome::Hit).then_some(age);
    let outcome = outcome.with_status(fill.meta().status);
    way.report(outcome, status, age).write(&mut headers);
    let mut answer = Response::new(ReplyBody::filling(reader, way.meter()));
    *answer.status_mut() = fill.meta().status;
    *answer.headers_mut() = headers;
    answer
}

/// An answer for one viewer, as the origin gave it.
pub(super) fn passing_on(
    way: &Way,
    status: StatusCode,
    mut headers: HeaderMap,
    body: ReplyBody,
    said: CacheStatus,
) -> Response<ReplyBody> {
    let outcome = Outcome::Miss.with_status(status);
    tags::strip(&mut headers);
    way.report(outcome, said, None).write(&mut headers);
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

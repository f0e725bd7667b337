//! An answer from the store.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::{ReplyBody, Way, part, recode::Chosen};
use crate::{
    observe::CacheResult,
    policy::{
        deliver::{self, CacheStatus, Outcome, Report},
        precondition::{self, Validators, Verdict},
        reuse::Standing,
        slice::{self, Slice},
    },
    store::{Head, Object},
};

/// Answers with what was `chosen` of `object`, which stands like this; the hot path.
pub(super) fn hit(
    way: &Way,
    request_id: HeaderValue,
    object: &Object,
    chosen: Chosen<'_>,
    standing: Standing,
) -> Response<ReplyBody> {
    way.count(result(standing));
    reported(
        way,
        object,
        chosen,
        Report {
            outcome: Outcome::Hit,
            status: CacheStatus::hit(standing),
            age: Some(standing.age),
            request_id,
            timing: way.timing(),
        },
    )
}

/// How a hit that stands like this counts.
pub(super) fn result(standing: Standing) -> CacheResult {
    if standing.ttl > 0 {
        CacheResult::Hit
    } else {
        // Its viewer said that it takes what is stale.
        CacheResult::Stale
    }
}

/// Answers with what was `chosen` of `object`, which is stale or softly invalidated, while it
/// is refreshed.
pub(super) fn stale(
    way: &Way,
    object: &Object,
    chosen: Chosen<'_>,
    standing: Standing,
) -> Response<ReplyBody> {
    way.count(CacheResult::Stale);
    let status = CacheStatus {
        detail: object.is_softened().then_some("invalidated"),
        ..CacheStatus::hit(standing)
    };
    stored(way, object, chosen, standing.age, Outcome::Hit, status)
}

/// Answers with what was `chosen` of `object` whatever led to it, and says so.
pub(super) fn stored(
    way: &Way,
    object: &Object,
    chosen: Chosen<'_>,
    age: u32,
    outcome: Outcome,
    status: CacheStatus,
) -> Response<ReplyBody> {
    reported(way, object, chosen, way.report(outcome, status, Some(age)))
}

fn reported(way: &Way, object: &Object, chosen: Chosen<'_>, report: Report) -> Response<ReplyBody> {
    // A range is cut from the origin's own bytes, where the viewer accepts these.
    let ranged = part::wanted(&way.ask.headers);
    let slice = if ranged && (chosen.own || chosen.or_own) {
        let (validators, length) = (validators(&object.head), object.body().len() as u64);
        slice::slice(
            &way.ask,
            object.head.status(),
            validators,
            length,
            way.ask.at,
        )
    } else {
        Slice::Whole
    };
    let chosen = if slice == Slice::Whole {
        chosen
    } else {
        Chosen::own(object)
    };
    let head = chosen.head;
    let unmodified = precondition::conditional(&way.ask.headers)
        && precondition::verdict(&way.ask, head.status(), validators(head), way.ask.at)
            == Verdict::NotModified;
    let added = deliver::ADDED_FIELDS_MAX + way.rules().viewer.added_fields_max();
    let mut headers = HeaderMap::with_capacity(head.len() + added);
    for (name, value) in head.iter() {
        if !unmodified || deliver::in_not_modified(&name) {
            headers.append(&*name, value);
        }
    }
    Report {
        outcome: report.outcome.with_status(head.status()),
        ..report
    }
    .write(&mut headers);
    let body = match way.ask.method {
        _ if unmodified => ReplyBody::empty(way.meter()),
        Method::HEAD => ReplyBody::empty(way.meter()),
        _ => {
            if !chosen.own {
                way.saved(object.body().len().saturating_sub(chosen.body.len()));
            }
            ReplyBody::whole(chosen.body.share(), way.meter())
        }
    };
    if way.ask.method == Method::HEAD && !unmodified {
        headers
            .entry(http::header::CONTENT_LENGTH)
            .or_insert_with(|| chosen.body.len().into());
    }
    let mut answer = Response::new(body);
    *answer.status_mut() = if unmodified {
        StatusCode::NOT_MODIFIED
    } else {
        head.status()
    };
    *answer.headers_mut() = headers;
    if unmodified || !ranged {
        return answer;
    }
    part::cut(way, object, &slice, answer)
}

/// The validators of what has this head.
pub(super) fn validators(head: &Head) -> Validators<'_> {
    let of = |name| head.get(name);
    Validators {
        tag: of(&http::header::ETAG),
        modified: of(&http::header::LAST_MODIFIED),
        date: of(&http::header::DATE),
    }
}

//! A request for this viewer alone: streamed both ways, nothing kept.
//!
//! Nothing is spawned: a viewer that leaves cancels the request to the origin.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{
    ReplyBody, Way,
    errand::{Errand, log_failure},
    led::{self, passing_on},
    outbound::Outbound,
    partial, synth, tunnel,
};
use crate::{
    observe::CacheResult,
    origin::{Fetched, Sent},
    policy::{
        self, Ask, Caching, Key, Meta,
        control::Control,
        deliver::{self, CacheStatus},
        failover::{Blame, Failure, Phase, Retry},
        forward::Purpose,
        intent::{self, Intent, WhyPass},
        marks::{self, Mark, Mode, Sequence},
        outgoing,
        partial::Kept,
        represent,
        selector::Selector,
        settle::{self, Settled, Times},
        unsafe_method, validate,
    },
    site::Routed,
    store::Object,
};

/// Passes a request that is not for the cache.
///
/// The way is boxed since a future that is given one by value has room for two.
pub(super) async fn pass(
    way: Box<Way>,
    body: Option<Incoming>,
    upgrade: Option<OnUpgrade>,
    why: WhyPass,
) -> Response<ReplyBody> {
    let (fwd, detail) = why.status();
    let sent = body.map_or_else(Sent::empty, Sent::viewer);
    let purpose = if upgrade.is_some() {
        Purpose::Upgrade
    } else {
        Purpose::Pass
    };
    let born = way.edge.ledger.head();
    let since = way.edge.clock.instant();
    let fetched = match send(&way, sent, purpose).await {
        Ok(fetched) => fetched,
        Err(failure) => {
            way.waited(since, way.edge.clock.instant());
            return synth::failed(&way, fwd, &failure);
        }
    };
    way.waited(since, fetched.timings.at);
    way.count(CacheResult::Pass);
    let status = fetched.head.status;
    let switched = fetched.upgraded.is_some();
    let protocol = switched.then(|| fetched.head.headers.get(header::UPGRADE).cloned());
    let headers = deliver::end_to_end(fetched.head.headers, fetched.head.version);
    let head = way.edge.ledger.head();
    let mut later =
        for_later_reads(&way, status, &headers, born).filter(|(_, meta)| !way.edge.covers(meta));
    if unsafe_method::invalidates(&way.ask.method, status) {
        let ended = ended(&way, &headers).into_iter().map(Selector::Mark);
        let ended = way.edge.ledger.accept(Mode::Hard, ended);
        // The answer itself is as new as what it ends, if nobody ended something between.
        later = later.filter(|_| ended.0 == head.0 + 1);
        if let Some((_, meta)) = &mut later {
            meta.born = ended;
        }
    }
    let said = CacheStatus {
        detail: Some(detail),
        ..CacheStatus::forwarded(fwd, status)
    };
    match (fetched.upgraded, upgrade) {
        (Some(origin), Some(viewer)) => {
            let body = ReplyBody::empty(way.meter());
            let mut answer = passing_on(&way, status, headers, body, said);
            let fields = answer.headers_mut();
            fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol.flatten() {
                fields.insert(header::UPGRADE, protocol);
            }
            tokio::spawn(tunnel::tunnel(viewer, origin));
            answer
        }
        _ => match later {
            Some((errand, meta)) => {
                let kept = Kept {
                    meta,
                    headers: headers.clone(),
                    bytes: None,
                };
                errand.beside(kept, (status, headers), fetched.body, said)
            }
            None => {
                let body = ReplyBody::passing(fetched.body, way.meter());
                passing_on(&way, status, headers, body, said)
            }
        },
    }
}

/// Passes a request for a part of an answer, or for its head, that is not stored; `stale`
/// is what is stored of the whole.
pub(super) async fn for_part(
    way: Way,
    key: Key,
    fwd: &'static str,
    stale: Option<Arc<Object>>,
) -> Response<ReplyBody> {
    let purpose = if policy::partial::wanted(&way.ask) {
        Purpose::Part
    } else {
        Purpose::Pass
    };
    let (asked, born) = (way.edge.clock.now(), way.edge.ledger.head());
    let sent = send(&way, Sent::empty(), purpose).await;
    let now = way.edge.clock.now();
    let failed = match &sent {
        Err(_) => true,
        Ok(fetched) => fetched.head.status.is_server_error(),
    };
    let current = stale.as_ref().filter(|stale| !way.edge.ended(stale));
    let settled = settle::failed(current.map(|stale| &stale.meta), now);
    if let (true, Some(stale), Settled::ServeStale(standing)) = (failed, current, settled) {
        return led::stale(&way, fwd, stale, standing);
    }
    if let Some(answer) = failed.then(|| partial::stale(&way)).flatten() {
        return answer;
    }
    let fetched = match sent {
        Ok(fetched) => fetched,
        Err(failure) => return synth::failed(&way, fwd, &failure),
    };
    let status = fetched.head.status;
    let headers = deliver::end_to_end(fetched.head.headers, fetched.head.version);
    if purpose == Purpose::Part {
        let times = Times {
            asked,
            received: now,
            born,
        };
        let answer = (status, headers);
        return partial::keep(way, (key, fwd), answer, fetched.body, times);
    }
    way.count(CacheResult::Pass);
    if status == StatusCode::OK {
        if let Some(stale) = stale {
            freshen(&way, key, &stale, &headers);
        }
        way.compare_part(&headers);
    }
    let said = CacheStatus {
        detail: Some("partial"),
        ..CacheStatus::forwarded(fwd, status)
    };
    let body = ReplyBody::passing(fetched.body, way.meter());
    passing_on(&way, status, headers, body, said)
}

/// Passes a request whose viewer accepts nothing of what is stored, nor what we could make of
/// that: the origin may have something for it, or say so.
pub(super) async fn for_coding(way: Way) -> Response<ReplyBody> {
    let fwd = "vary-miss";
    let fetched = match send(&way, Sent::empty(), Purpose::Pass).await {
        Ok(fetched) => fetched,
        Err(failure) => return synth::failed(&way, fwd, &failure),
    };
    way.count(CacheResult::Pass);
    let status = fetched.head.status;
    let mut headers = deliver::end_to_end(fetched.head.headers, fetched.head.version);
    // As every other answer to this page says.
    represent::vary(&mut headers);
    let said = CacheStatus {
        detail: Some("undecodable"),
        ..CacheStatus::forwarded(fwd, status)
    };
    let body = ReplyBody::passing(fetched.body, way.meter());
    passing_on(&way, status, headers, body, said)
}

/// Sends the viewer's request on, and counts how it went.
async fn send(way: &Way, sent: Sent, purpose: Purpose) -> Result<Fetched, Failure> {
    let behaviour = way.route.behaviour();
    let target = &behaviour.origin.target;
    let outgoing = outgoing::request(&way.ask, way.rules(), target, purpose);
    let request = Outbound {
        outgoing: outgoing.map_err(|_| UNSENDABLE)?,
        interims: way.interims.as_ref(),
    };
    let fetched = way
        .edge
        .origins
        .send(&behaviour.origin, &request, sent)
        .await;
    let fetched = fetched.map_err(|error| {
        log_failure(way, &error);
        *error.failure()
    })?;
    way.site
        .meters
        .origin_took(behaviour.index, fetched.timings.first_byte);
    Ok(fetched)
}

/// What a 200 to HEAD says about the stored answer to GET (RFC 9111 §4.3.5).
fn freshen(way: &Way, key: Key, stale: &Arc<Object>, fresh: &HeaderMap) {
    let (edge, now) = (&way.edge, way.edge.clock.now());
    // What is gone does not come back: nobody would get it, but it would lie there.
    if edge.judged(stale, edge.ledger.head()) == Some(Mode::Hard) {
        return;
    }
    let stored = stale.head.to_map();
    // A HEAD answer about another coding tells nothing of this one.
    let coding = header::CONTENT_ENCODING;
    if stale.meta.recodable.is_some() && stored.get(&coding) != fresh.get(&coding) {
        return;
    }
    if !validate::confirmed_by_head(&stored, stale.body().len() as u64, fresh) {
        return edge.store.forget(key, stale);
    }
    let merged = validate::merged(&stored, fresh);
    let times = Times {
        asked: way.ask.at,
        received: now,
        born: stale.meta.born,
    };
    let get = Ask {
        method: Method::GET,
        ..(*way.ask).clone()
    };
    // Where it cannot be kept anew, what is stored stays what it was.
    let meta = settle::refreshed(&get, way.rules(), &stale.meta, fresh, &merged, times);
    if let Ok(meta) = meta {
        let headers = deliver::as_stored(&merged, way.rules(), now, meta.recodable);
        let _ = edge.store.refresh(key, stale, (meta, &headers), now);
    }
}

/// How an answer to POST is kept for later reads of the same target, where it may be:
/// "Responses to POST requests are only cacheable when they include explicit freshness
/// information ... and a Content-Location header field that has the same value as the
/// POST's target URI" (RFC 9110 §9.3.3).
fn for_later_reads(
    way: &Way,
    status: StatusCode,
    headers: &HeaderMap,
    born: Sequence,
) -> Option<(Errand, Meta)> {
    let rules = way.rules();
    let posted = way.ask.method == Method::POST && rules.caching == Caching::On;
    if !posted || status != StatusCode::OK || !Control::of(headers, rules).has_lifetime() {
        return None;
    }
    let origin = &way.route.behaviour().origin.target;
    let read = unsafe_method::content_is_of_target(&way.ask, origin, headers)?;
    let Intent::Cache(key) = intent::intent(&read, rules) else {
        return None;
    };
    // It was asked for when it came: nothing is waited for before that.
    let times = Times {
        asked: way.ask.at,
        received: way.edge.clock.now(),
        born,
    };
    let meta = settle::meta(&read, rules, status, headers, times).ok()?;
    let way = Way {
        edge: way.edge.clone(),
        site: way.site.clone(),
        route: way.route.clone(),
        ask: Box::new(read),
        request_id: way.request_id.clone(),
        interims: None,
        since: None,
    };
    Some((Errand::new(Arc::new(way), (key, key), "method", None), meta))
}

/// What a successful unsafe request ends: the targets it names, and groups where the
/// behaviour has them.
fn ended(way: &Way, headers: &HeaderMap) -> Vec<Mark> {
    let origin = &way.route.behaviour().origin.target;
    let mut ended = Vec::new();
    for target in unsafe_method::targets(&way.ask, origin, headers) {
        if let Routed::To(route) = way.site.snapshot.route(&target.host, target.path()) {
            ended.push(marks::target(&target, &route.behaviour().rules));
        }
    }
    if way.rules().cache_groups {
        ended.extend(marks::invalidated_groups(&way.ask, headers));
    }
    ended
}

/// A request that cannot be expressed towards the origin: prefix and path are too long.
const UNSENDABLE: Failure = Failure {
    blame: Blame::Us,
    phase: Phase::Send,
    timed_out: false,
    retry: Retry::No,
};

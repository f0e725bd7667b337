//! A request that the store cannot answer: one fetch for all who ask meanwhile.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, header};

use super::{
    ReplyBody, Way,
    errand::{self, Arrival, Errand},
    hit, pass, synth,
};
use crate::{
    flight::{Join, Landed},
    observe::CacheResult,
    policy::{
        Key, Meta,
        deliver::{CacheStatus, Outcome},
        reuse::{self, Reuse},
    },
    store::{Found, Object},
};

/// How often a request looks again after a flight that was no answer for it; then it
/// fetches for itself. Each turn waits at most once.
const FOLLOWS_MAX: usize = 3;

/// Answers a request for which the store holds `found`: nothing that serves.
pub(super) async fn miss(way: Way, key: Key, mut found: Found) -> Response<ReplyBody> {
    if reuse::only_if_cached(&way.ask, way.rules()) {
        return synth::not_cached(&way);
    }
    let (fwd, stale) = why(&way, &found);
    // A part, or a head, is no answer for anyone else: it is asked for as it is.
    if way.ask.method == Method::HEAD || way.ask.headers.contains_key(header::RANGE) {
        return pass::for_part(way, fwd).await;
    }
    let way = Arc::new(way);
    let mut errand = Errand::new(way.clone(), key, fwd, stale);
    for _ in 0..=FOLLOWS_MAX {
        match way.edge.flights.join(key, way.edge.clock.now()) {
            Join::Alone => return errand.lead(None).await,
            Join::Lead(lease) => {
                // Between our look and our lease another flight may have landed.
                found = way.find(key);
                if let Some(answer) = fresh(&way, &found) {
                    return answer;
                }
                let (fwd, stale) = why(&way, &found);
                errand = Errand::new(way.clone(), key, fwd, stale);
                return errand.lead(Some(lease)).await;
            }
            Join::Follow(ticket) => {
                way.site
                    .meters
                    .behaviour(way.route.behaviour().index)
                    .coalesced
                    .one();
                match ticket.wait(patience(&way)).await {
                    Landed::With(arrival) => {
                        if let Some(answer) = follow(&way, fwd, arrival) {
                            return answer;
                        }
                    }
                    Landed::Abandoned => {}
                    Landed::Overdue => break,
                }
            }
        }
        // What arrived was not for us, or its leader died: look again.
        found = way.find(key);
        if let Some(answer) = fresh(&way, &found) {
            return answer;
        }
    }
    errand.lead(None).await
}

/// Refreshes `object` in the background, unless that is under way already (RFC 5861 §3).
pub(super) fn refresh(way: Way, key: Key, object: Arc<Object>) {
    if let Join::Lead(lease) = way.edge.flights.join(key, way.edge.clock.now()) {
        let errand = Errand::new(Arc::new(way), key, "stale", Some(object));
        tokio::spawn(errand.run(Some(lease), None));
    }
}

/// Why the origin is asked, in RFC 9211's terms, and what may be validated.
fn why(way: &Way, found: &Found) -> (&'static str, Option<Arc<Object>>) {
    match found {
        Found::Nothing => ("uri-miss", None),
        Found::OtherVariants => ("vary-miss", None),
        Found::Object(object) => {
            let reuse = reuse::reuse(&object.meta, &way.ask, way.rules(), way.edge.clock.now());
            let fwd = match reuse {
                Reuse::Validate(why) => why.forward(),
                Reuse::Serve(_) | Reuse::ServeAndRefresh(_) => "stale",
            };
            (fwd, Some(object.clone()))
        }
    }
}

/// The answer of the store, where it has one after all.
fn fresh(way: &Way, found: &Found) -> Option<Response<ReplyBody>> {
    let Found::Object(object) = found else {
        return None;
    };
    match reuse::reuse(&object.meta, &way.ask, way.rules(), way.edge.clock.now()) {
        Reuse::Serve(standing) => Some(hit::hit(way, object, standing)),
        Reuse::ServeAndRefresh(_) | Reuse::Validate(_) => None,
    }
}

/// How long a follower waits: as long as the origin may take for one answer. By then the
/// leader has heard, or has given up.
fn patience(way: &Way) -> Duration {
    way.route.behaviour().origin.response_timeout
}

/// The answer to a follower, if what arrived may answer it too (RFC 9111 §4).
fn follow(way: &Arc<Way>, fwd: &'static str, arrival: Arrival) -> Option<Response<ReplyBody>> {
    let now = way.edge.clock.now();
    let shared = |meta: &Meta| reuse::shared(meta, &way.ask, way.rules(), now);
    let collapsed = |meta: &Meta| CacheStatus {
        collapsed: true,
        ttl: Some(reuse::standing(meta, now).ttl),
        ..CacheStatus::forwarded(fwd, meta.status)
    };
    match arrival {
        Arrival::Filling(fill) if shared(fill.meta()) => {
            let reader = fill.reader()?;
            way.count(CacheResult::Hit);
            let status = collapsed(fill.meta());
            Some(errand::filling(way, reader, Outcome::Hit, status))
        }
        Arrival::Stored(object) if shared(&object.meta) => {
            way.count(CacheResult::Hit);
            let (age, status) = (
                reuse::standing(&object.meta, now).age,
                collapsed(&object.meta),
            );
            Some(hit::stored(way, &object, age, Outcome::Hit, status))
        }
        Arrival::Stale(object) => {
            let varying = object.meta.varying.as_ref();
            varying
                .is_none_or(|varying| varying.matches(&way.ask, way.rules()))
                .then(|| {
                    way.count(CacheResult::Stale);
                    let standing = reuse::standing(&object.meta, now);
                    let status = CacheStatus {
                        collapsed: true,
                        ..CacheStatus::hit(standing)
                    };
                    hit::stored(way, &object, standing.age, Outcome::Hit, status)
                })
        }
        Arrival::Failed(failure) => Some(synth::failed(way, fwd, &failure)),
        Arrival::Filling(_) | Arrival::Stored(_) | Arrival::Unshareable => None,
    }
}

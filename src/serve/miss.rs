//! A request that the store cannot answer: one fetch for all who ask meanwhile.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, header};
use tokio::sync::Semaphore;

use super::{
    ReplyBody, Way,
    errand::{Arrival, Errand},
    hit, led, partial, pass, synth,
};
use crate::{
    flight::{Join, Landed},
    observe::CacheResult,
    policy::{
        Key, Meta,
        deliver::{CacheStatus, Outcome},
        marks::Marks,
        reuse::{self, Reuse},
        storable,
    },
    store::{Found, Object},
};

/// How often a request looks again after a flight that was no answer for it; then it
/// fetches for itself. Each turn waits at most once.
const FOLLOWS_MAX: usize = 3;

/// Answers a request for which the store holds `found`: nothing that serves.
pub(super) async fn miss(way: Way, key: Key, mut found: Found) -> Response<ReplyBody> {
    if let Some(answer) = partial::stored(&way) {
        return answer;
    }
    if reuse::only_if_cached(&way.ask, way.rules()) {
        return synth::not_cached(&way);
    }
    let (fwd, stale) = why(&way, &found);
    // A part, or a head, is no answer for anyone else: it is asked for as it is.
    if way.ask.method == Method::HEAD || way.ask.headers.contains_key(header::RANGE) {
        return pass::for_part(way, key, fwd, stale).await;
    }
    let way = Arc::new(way);
    let mut flight = flight(&way, key);
    let mut errand = Errand::new(way.clone(), (key, flight), fwd, stale);
    // Whoever has credentials may still follow those without.
    let plain = flight.among(CREDENTIALED);
    let mut open = storable::credentialed(&way.ask, way.rules())
        .then(|| way.edge.flights.follow(plain))
        .flatten()
        .map(Join::Follow);
    for _ in 0..=FOLLOWS_MAX {
        let now = way.edge.clock.now();
        match open
            .take()
            .unwrap_or_else(|| way.edge.flights.join(flight, now))
        {
            Join::Alone => return errand.lead(None).await,
            Join::Lead(lease) => {
                // Between our look and our lease another flight may have landed.
                found = way.find(key);
                if let Some(answer) = fresh(&way, &found) {
                    return answer;
                }
                let (fwd, stale) = why(&way, &found);
                errand = Errand::new(way.clone(), (key, flight), fwd, stale);
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
                        let next = next(&way, key, flight, &arrival);
                        if let Some(answer) = follow(&way, key, fwd, arrival) {
                            return answer;
                        }
                        flight = next;
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

/// The most background refreshes of one worker at a time: a tenth of what an origin's pool
/// lets through, so that viewers who wait come first.
pub const REFRESHES_MAX: usize = 100;

/// Room for background refreshes; clones share it.
#[derive(Clone, Debug)]
pub struct Refreshes(Arc<Semaphore>);

impl Default for Refreshes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REFRESHES_MAX)))
    }
}

/// Refreshes `object` in the background, unless that is under way already, or too much else
/// is (RFC 5861 §3): then the next who asks tries again.
pub(super) fn refresh(mut way: Way, key: Key, object: Arc<Object>) {
    let Ok(room) = way.edge.refreshes.0.clone().try_acquire_owned() else {
        return;
    };
    // Whatever the viewer asked with, the answer to GET is what is stored.
    way.ask.method = Method::GET;
    let flight = flight(&way, key);
    if let Join::Lead(lease) = way.edge.flights.join(flight, way.edge.clock.now()) {
        let errand = Errand::new(Arc::new(way), (key, flight), "stale", Some(object));
        tokio::spawn(async move {
            errand.run(Some(lease), None).await;
            drop(room);
        });
    }
}

/// The flight of a request. Who asks after an invalidation flies apart from who asked before
/// it, as far as the request tells that it is about its answer. Those with credentials fly among themselves: their answers are seldom shareable, and
/// that must not ground those without.
fn flight(way: &Way, key: Key) -> Key {
    let newer = way
        .edge
        .ledger
        .latest(|| Marks::asked(&way.ask, way.rules()));
    let key = key.among(u128::from(newer.0) << 64);
    if storable::credentialed(&way.ask, way.rules()) {
        key.among(CREDENTIALED)
    } else {
        key
    }
}

/// Any number but 0.
const CREDENTIALED: u128 = 0x6372_6564_656e_7469_616c_6564_2121_2121;

/// The flight of those who want what `way` wants and `arrival`, of the flight before, was not:
/// another variant, or something newer than an invalidation.
fn next(way: &Way, key: Key, before: Key, arrival: &Arrival) -> Key {
    let (meta, ended) = match arrival {
        Arrival::Filling(fill) => (fill.meta(), way.edge.covers(fill.meta())),
        Arrival::Stored(object) | Arrival::Stale(object) => (&object.meta, way.edge.ended(object)),
        Arrival::Unshareable | Arrival::Failed(_) => return before,
    };
    if ended {
        // By what those who come now know too; or by a tag, which nobody could know.
        let now = flight(way, key);
        let head = u128::from(way.edge.ledger.head().0) << 64;
        return if now == before {
            before.among(!head)
        } else {
            now
        };
    }
    match &meta.varying {
        Some(varying) if !varying.matches(&way.ask, way.rules()) => {
            before.among(varying.values_of(&way.ask, way.rules()))
        }
        _ => before,
    }
}

/// Why the origin is asked, in RFC 9211's terms, and what may be validated.
fn why(way: &Way, found: &Found) -> (&'static str, Option<Arc<Object>>) {
    match found {
        Found::Nothing => ("uri-miss", None),
        Found::OtherVariants => ("vary-miss", None),
        Found::Object(object) => {
            let fwd = match way.reuse(object, way.edge.clock.now()) {
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
    match way.reuse(object, way.edge.clock.now()) {
        Reuse::Serve(standing) => Some(hit::hit(way, way.request_id.clone(), object, standing)),
        Reuse::ServeAndRefresh(_) | Reuse::Validate(_) => None,
    }
}

/// How long a follower waits: longer than its leader can take to hear from the origin or to
/// give up. If both gave up at once, all who waited would ask a silent origin again.
fn patience(way: &Way) -> Duration {
    let origin = &way.route.behaviour().origin;
    origin.connect_timeout * origin.connect_attempts + origin.response_timeout + FOLLOW_SLACK
}

/// What a leader may need beyond its bounds to say how it went.
const FOLLOW_SLACK: Duration = Duration::from_secs(1);

/// The answer to a follower, if what arrived may answer it too (RFC 9111 §4).
fn follow(
    way: &Arc<Way>,
    key: Key,
    fwd: &'static str,
    arrival: Arrival,
) -> Option<Response<ReplyBody>> {
    let now = way.edge.clock.now();
    let shared = |meta: &Meta| {
        reuse::shared(meta, &way.ask, way.rules(), now)
            && way.same_search(key, meta.search.as_deref())
    };
    let collapsed = |meta: &Meta| CacheStatus {
        collapsed: true,
        ttl: Some(reuse::standing(meta, now).ttl),
        ..CacheStatus::forwarded(fwd, meta.status)
    };
    // Nobody who asked after an invalidation gets what was asked for before it; those who
    // asked before ask again too.
    match arrival {
        Arrival::Filling(fill) if shared(fill.meta()) && !way.edge.covers(fill.meta()) => {
            let reader = fill.reader()?;
            way.count(CacheResult::Hit);
            let status = collapsed(fill.meta());
            Some(led::filling(way, reader, Outcome::Hit, status))
        }
        Arrival::Stored(object) if shared(&object.meta) && !way.edge.ended(&object) => {
            way.count(CacheResult::Hit);
            let (age, status) = (
                reuse::standing(&object.meta, now).age,
                collapsed(&object.meta),
            );
            Some(hit::stored(way, &object, age, Outcome::Hit, status))
        }
        Arrival::Stale(object) if !way.edge.ended(&object) => {
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
        Arrival::Filling(_) | Arrival::Stored(_) | Arrival::Stale(_) | Arrival::Unshareable => None,
    }
}

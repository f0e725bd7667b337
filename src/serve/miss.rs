//! A request that the store cannot answer: one fetch for all who ask meanwhile.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, header};
use tokio::sync::Semaphore;

use super::{
    ReplyBody, Way,
    errand::{Arrival, Errand},
    hit, led, partial, pass, recode, synth,
};
use crate::{
    flight::{Join, Landed},
    observe::CacheResult,
    policy::{
        Key, Meta,
        deliver::{CacheStatus, Outcome},
        marks::Marks,
        reuse::{self, Reuse},
        storable, variant,
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
    if way.ask.method == Method::HEAD || way.ask.headers.has(header::RANGE) {
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
    let mut parted = false;
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
                if let Some(answer) = fresh(&way, key, &found).await {
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
                        let foreign = foreign(&way, &arrival);
                        let next = next(&way, key, flight, &arrival);
                        if let Arrival::Stored(object) | Arrival::Stale(object) = &arrival {
                            recode::ready(&way, key, object).await;
                        }
                        if let Some(answer) = follow(&way, key, fwd, arrival) {
                            return answer;
                        }
                        match foreign {
                            // The origin has another coding for those like us.
                            Some(Foreign::Negotiated) if !parted => {
                                flight = flight.among(variant::accepting(&way.ask));
                                parted = true;
                            }
                            // It has none: once it is stored it can be decoded.
                            Some(_) => {
                                if let Some(ticket) = way.edge.flights.follow(flight) {
                                    ticket.over(patience(&way)).await;
                                }
                            }
                            None => flight = next,
                        }
                    }
                    Landed::Abandoned => {}
                    Landed::Overdue => break,
                }
            }
        }
        // What arrived was not for us, or its leader died: look again.
        found = way.find(key);
        if let Some(answer) = fresh(&way, key, &found).await {
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
    // Nobody queues behind it, so it matters not whether what arrives can be shared.
    if let Some(lease) = way.edge.flights.lead(flight) {
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

/// An answer that is being read, in a coding that a follower does not accept.
enum Foreign {
    /// The origin chose the coding by the leader's Accept-Encoding.
    Negotiated,
    /// Everybody gets it so.
    Fixed,
}

/// Whether `arrival` would be for us but for its coding.
fn foreign(way: &Way, arrival: &Arrival) -> Option<Foreign> {
    let Arrival::Filling(fill) = arrival else {
        return None;
    };
    let meta = fill.meta();
    let varying = meta.varying.as_ref();
    let ours = varying.is_none_or(|varying| varying.matches(&way.ask, way.rules()))
        && !way.edge.covers(meta);
    if !ours || recode::takes(way, meta) {
        return None;
    }
    Some(match meta.recodable {
        Some(response) if response.negotiated => Foreign::Negotiated,
        _ => Foreign::Fixed,
    })
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
async fn fresh(way: &Way, key: Key, found: &Found) -> Option<Response<ReplyBody>> {
    let Found::Object(object) = found else {
        return None;
    };
    match way.reuse(object, way.edge.clock.now()) {
        Reuse::Serve(standing) => {
            recode::ready(way, key, object).await;
            if way.edge.ended(object) {
                return None;
            }
            let (request_id, chosen) = (way.request_id.clone(), way.chosen(object));
            Some(hit::hit(way, request_id, object, chosen, standing))
        }
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
        Arrival::Filling(fill)
            if shared(fill.meta())
                && recode::takes(way, fill.meta())
                && !way.edge.covers(fill.meta()) =>
        {
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
            let chosen = way.chosen(&object);
            Some(hit::stored(way, &object, chosen, age, Outcome::Hit, status))
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
                    let chosen = way.chosen(&object);
                    hit::stored(way, &object, chosen, standing.age, Outcome::Hit, status)
                })
        }
        Arrival::Failed(failure) => Some(synth::failed(way, fwd, &failure)),
        Arrival::Filling(_) | Arrival::Stored(_) | Arrival::Stale(_) | Arrival::Unshareable => None,
    }
}

//! A request's way, from the viewer's message to the answer.
//!
//! [`respond`] is the way on one page: ask, route, intent, find, reuse. A memory hit
//! ends there, without a future of its own. What needs the origin goes on in `miss`
//! (coalescing, then a fetch in a task of its own) or in `pass` (for this viewer alone).
//!
//! A viewer that leaves drops its answer's body and nothing else: a fetch for the store
//! goes on, a passing one is cancelled.

use std::{cell::Cell, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use ask::Asked;
use finish::Finish;
use recode::Missing;
use way::Way;

use crate::{
    fields::section::Section,
    flight::Flights,
    ledger::Ledger,
    observe::{Events, Meters},
    origin::Origins,
    policy::{
        Ask, Key, Meta, Rules, Scheme, ServerTiming, deliver,
        intent::{self, Intent},
        marks::{Mode, Sequence},
        peer,
        reuse::{self, Reuse},
    },
    site::{Names, Routed, Snapshot},
    store::{Found, Object, Store},
    time::{Clock, Timestamp},
};

mod ask;
mod at_hand;
mod debug;
mod errand;
mod finish;
mod hit;
mod interim;
mod led;
mod limits;
mod miss;
mod outbound;
mod part;
mod partial;
mod pass;
mod recode;
mod remember;
mod reply;
mod request_id;
mod responding;
mod searches;
mod synth;
mod tunnel;
mod way;

pub use ask::{Malformed, URL_BYTES_MAX, checked};
pub use at_hand::{Plain, PlainAsk, PlainHead, at_hand};
pub use errand::Arrival;
pub use interim::{Interims, TakeInterim};
pub use limits::Limits;
pub use miss::{REFRESHES_MAX, Refreshes};
pub use recode::{RECODINGS_MAX, Recoder};
pub use reply::{BrokenBody, ReplyBody};
pub use request_id::RequestIds;
pub use responding::Responding;
pub use searches::Searches;

/// One configuration, and the handles its requests count with.
#[derive(Debug)]
pub struct Site {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// Its handles.
    pub meters: Arc<Meters>,
    /// Who is near which limit.
    pub limits: Limits,
}

/// Everything a worker serves with; all but `origins` and `ids` is shared by the workers.
#[derive(Debug)]
pub struct Edge {
    /// The configuration; a request takes it once.
    pub site: Arc<ArcSwap<Site>>,
    /// The answers kept.
    pub store: Store,
    /// What was invalidated.
    pub ledger: Ledger,
    /// Which parameters paths do not vary by.
    pub searches: Searches,
    /// The fetches under way.
    pub flights: Flights<Arrival>,
    /// This worker's connections to the origins.
    pub origins: Origins,
    /// Room for background refreshes, of this worker.
    pub refreshes: Refreshes,
    /// Room for the coding of bodies, of this worker.
    pub recoder: Recoder,
    /// The time.
    pub clock: Clock,
    /// What is counted and logged.
    pub events: Arc<Events>,
    /// This worker's request ids.
    pub ids: RequestIds,
}

impl Edge {
    /// Whether an answer about to be stored was invalidated since it was asked for, in
    /// whatever way.
    fn covers(&self, meta: &Meta) -> bool {
        self.ledger.covers(&meta.marks, meta.born).is_some()
    }

    /// What the store has under `key` for `ask`; what was invalidated hard is as if it were
    /// not there.
    fn find(&self, key: Key, ask: &Ask, rules: &Rules) -> Found {
        let head = self.ledger.head();
        let others = Cell::new(false);
        let found = self.store.find(key, |object| {
            if self.judged(object, head) == Some(Mode::Hard) {
                return false;
            }
            let varying = object.meta.varying.as_ref();
            let ours = varying.is_none_or(|varying| varying.matches(ask, rules));
            others.set(others.get() | !ours);
            ours
        });
        match found {
            Found::OtherVariants if !others.get() => Found::Nothing,
            found => found,
        }
    }

    /// What a stored answer is by all that was invalidated up to `head`.
    fn judged(&self, object: &Object, head: Sequence) -> Option<Mode> {
        object.judge(head, |marks, since| self.ledger.covers(marks, since))
    }

    /// What a request with `headers` is called: what it calls itself, or a new id.
    fn request_id(&self, headers: &Section) -> HeaderValue {
        let own = deliver::request_id(headers);
        let own = own.and_then(|id| HeaderValue::from_bytes(id).ok());
        own.unwrap_or_else(|| self.ids.make())
    }

    /// Whether a stored answer was invalidated since it was asked for, in whatever way.
    fn ended(&self, object: &Object) -> bool {
        self.judged(object, self.ledger.head()).is_some()
    }
}

/// What to do with `object` for `ask`, which it matches.
#[inline]
fn reusable(object: &Object, ask: &Ask, rules: &Rules, now: Timestamp) -> Reuse {
    let decided = reuse::reuse(&object.meta, ask, rules, now);
    if object.is_softened() {
        reuse::softened(decided, &object.meta)
    } else {
        decided
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Its address.
    pub address: SocketAddr,
    /// How it reached us.
    pub scheme: Scheme,
    /// Whom the certificate speaks for that it was shown; `None` without TLS.
    pub covered: Option<Arc<Names>>,
    /// Where the interim responses to this request go, if it may have any.
    pub interims: Option<Interims>,
}

/// Answers `request`. Every request has an answer; failures are answers too.
pub fn respond(edge: Arc<Edge>, request: Request<Incoming>, viewer: Viewer) -> Responding {
    let (site, now) = (edge.site.load_full(), edge.clock.now());
    match ask::asked(request, &viewer, now) {
        Ok(Asked {
            mut ask,
            body,
            upgrade,
        }) => {
            peer::look_behind(&mut ask, &site.snapshot.proxies.trusted);
            routed(edge, site, (Box::new(ask), None), (body, upgrade), viewer)
        }
        Err((why, headers)) => synth::malformed(&edge, &site, why, &headers).into(),
    }
}

/// Answers a plain request that was not [`at_hand`].
pub fn respond_plain(edge: Arc<Edge>, asked: PlainAsk, viewer: Viewer) -> Responding {
    let site = asked.site;
    match asked.checked {
        Ok(ask) => routed(edge, site, (ask, asked.intent), (None, None), viewer),
        Err(refused) => synth::malformed(&edge, &site, refused.0, &refused.1).into(),
    }
}

/// What still hangs from a request's connection: its body, and the stream, where it asks to
/// change protocols.
type Hanging = (Option<Incoming>, Option<OnUpgrade>);

/// Answers `ask`, of which `intent` may be known.
fn routed(
    edge: Arc<Edge>,
    site: Arc<Site>,
    (ask, intent): (Box<Ask>, Option<Intent>),
    hanging: Hanging,
    viewer: Viewer,
) -> Responding {
    let (interims, covered) = (viewer.interims, viewer.covered);
    let request_id = edge.request_id(&ask.headers);
    if covered.is_some_and(|names| !names.cover(&ask.host)) {
        return synth::misdirected(&site, &ask, request_id).into();
    }
    let route = match site.snapshot.route(&ask.host, ask.path()) {
        Routed::To(route) => route,
        Routed::NoSuchHost => return synth::no_such_host(&site, &ask, request_id).into(),
        Routed::NoSuchPath => return synth::no_such_path(&site, &ask, request_id).into(),
    };
    let timed = route.behaviour().rules.viewer.server_timing == ServerTiming::On;
    let since = timed.then(|| edge.clock.instant());
    let way = Way {
        edge,
        site,
        route,
        ask,
        request_id,
        interims,
        since,
    };
    let intent = intent.unwrap_or_else(|| intent::intent(&way.ask, way.rules()));
    match Finish::of(&way) {
        None => answered(way, intent, hanging),
        Some(finish) => answered(way, intent, hanging).finished(finish),
    }
}

/// The answer, as far as it does not depend on what the behaviour does to every answer.
fn answered(way: Way, intent: Intent, (body, upgrade): Hanging) -> Responding {
    if let Intent::Cache(_) | Intent::Pass(_) = intent
        && let Some(wait) = way.limited()
    {
        return synth::limited(&way, wait).into();
    }
    let key = match intent {
        Intent::Cache(key) => key,
        Intent::Pass(why) => {
            let answer = pass::pass(Box::new(way), body, upgrade, why);
            return Responding::Later(Box::pin(answer));
        }
        Intent::Redirect(status) => return synth::redirected(&way, status).into(),
        Intent::Preflight => return synth::preflight(&way).into(),
        Intent::Refuse(why) => return synth::refused(&way, why).into(),
    };
    let told = debug::is_asked(&way).then_some(key);
    let answer = cached(way, key);
    match told {
        None => answer,
        Some(key) => debug::telling(key, answer),
    }
}

/// Answers a request for the cache, whose plain key is `key`.
fn cached(mut way: Way, key: Key) -> Responding {
    let key = way.looked_up(key);
    let found = way.find(key);
    if let Found::Object(object) = &found {
        let reuse = way.reuse(object, way.ask.at);
        let chosen = way.chosen(object);
        match (reuse, chosen.missing) {
            (Reuse::Validate(_), _) => {}
            (_, Some(Missing::Decoded | Missing::Undecodable)) => {
                let object = object.clone();
                let wait = way.wait();
                return Responding::later(wait, decoded(way, key, object));
            }
            (Reuse::Serve(standing), missing) => {
                if let Some(Missing::Better(coding)) = missing {
                    recode::begin(&way, key, object, coding);
                }
                // Moved, since the first clone of a value allocates.
                let nothing = HeaderValue::from_static("");
                let request_id = std::mem::replace(&mut way.request_id, nothing);
                return hit::hit(&way, request_id, object, chosen, standing).into();
            }
            (Reuse::ServeAndRefresh(standing), _) => {
                let answer = hit::stale(&way, object, chosen, standing);
                miss::refresh(way, key, object.clone());
                return answer.into();
            }
        }
    }
    let wait = way.wait();
    Responding::later(wait, miss::miss(way, key, found))
}

/// Answers from `object`, once it is decoded for a viewer that does not accept its coding; by
/// the origin where it cannot be.
async fn decoded(way: Way, key: Key, object: Arc<Object>) -> Response<ReplyBody> {
    recode::ready(&way, key, &object).await;
    // It may have been replaced or invalidated meanwhile.
    let found = way.find(key);
    let reuse = match &found {
        Found::Object(current) if Arc::ptr_eq(current, &object) => {
            way.reuse(&object, way.edge.clock.now())
        }
        _ => return miss::miss(way, key, found).await,
    };
    let chosen = way.chosen(&object);
    match (reuse, chosen.missing) {
        (Reuse::Validate(_), _) => miss::miss(way, key, found).await,
        (_, Some(_)) => pass::for_coding(way).await,
        (Reuse::Serve(standing), None) => {
            hit::hit(&way, way.request_id.clone(), &object, chosen, standing)
        }
        (Reuse::ServeAndRefresh(standing), None) => {
            let answer = hit::stale(&way, &object, chosen, standing);
            miss::refresh(way, key, object);
            answer
        }
    }
}

//! A request for this viewer alone: streamed both ways, nothing kept.
//!
//! Nothing is spawned: a viewer that leaves cancels the request to the origin.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{
    ReplyBody, Way,
    errand::{log_failure, outgoing_request, passing_on},
    synth, tunnel,
};
use crate::{
    observe::CacheResult,
    origin::{Fetched, Sent},
    policy::{
        Ask,
        deliver::{self, CacheStatus},
        failover::{Blame, Failure, Phase, Retry},
        forward::{self, Purpose},
        intent::{self, Intent, WhyPass},
        unsafe_method,
    },
    site::Routed,
};

/// Passes a request that is not for the cache.
pub(super) async fn pass(
    way: Way,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
    why: WhyPass,
) -> Response<ReplyBody> {
    let (fwd, detail) = why.status();
    let sent = if way.ask.has_body {
        Sent::viewer(body)
    } else {
        Sent::empty()
    };
    exchange(way, sent, upgrade, (fwd, Some(detail))).await
}

/// Passes a request for a part of an answer, or for its head, that is not stored.
pub(super) async fn for_part(way: Way, fwd: &'static str) -> Response<ReplyBody> {
    exchange(way, Sent::empty(), None, (fwd, Some("partial"))).await
}

async fn exchange(
    way: Way,
    sent: Sent,
    upgrade: Option<OnUpgrade>,
    (fwd, detail): (&'static str, Option<&'static str>),
) -> Response<ReplyBody> {
    let origin = Arc::clone(&way.route.behaviour().origin);
    let purpose = if upgrade.is_some() {
        Purpose::Upgrade
    } else {
        Purpose::Pass
    };
    let Ok(outgoing) = forward::request(&way.ask, way.rules(), &origin.target, purpose) else {
        return synth::failed(&way, fwd, &UNSENDABLE);
    };
    let mut request = outgoing_request(outgoing, sent);
    if let Some(interims) = way.interims.clone() {
        request.extensions_mut().insert(interims.on_interim());
    }
    let fetched = match way.edge.origins.send(&origin, request).await {
        Ok(fetched) => fetched,
        Err(error) => {
            log_failure(&way, &error);
            return synth::failed(&way, fwd, error.failure());
        }
    };
    way.count(CacheResult::Pass);
    let behaviour = way.route.behaviour().index;
    way.site
        .meters
        .origin_first_byte(behaviour)
        .observe(fetched.timings.first_byte);
    let Fetched {
        head,
        body,
        upgraded,
        ..
    } = fetched;
    let protocol = head.headers.get(header::UPGRADE).cloned();
    let headers = deliver::end_to_end(head.headers, head.version);
    if unsafe_method::invalidates(&way.ask.method, head.status) {
        for target in unsafe_method::targets(&way.ask, &origin.target, &headers) {
            forget(&way, &target);
        }
    }
    let said = CacheStatus {
        detail,
        ..CacheStatus::forwarded(fwd, head.status)
    };
    match (upgraded, upgrade) {
        (Some(origin), Some(viewer)) => {
            let body = ReplyBody::empty(way.meter());
            let mut answer = passing_on(&way, StatusCode::SWITCHING_PROTOCOLS, headers, body, said);
            let fields = answer.headers_mut();
            fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            if let Some(protocol) = protocol {
                fields.insert(header::UPGRADE, protocol);
            }
            tokio::spawn(tunnel::tunnel(viewer, origin));
            answer
        }
        _ => {
            let body = ReplyBody::passing(body, way.meter());
            passing_on(&way, head.status, headers, body, said)
        }
    }
}

/// Ends what is stored for `target`, a read that this viewer could have sent.
fn forget(way: &Way, target: &Ask) {
    let Routed::To(route) = way.site.snapshot.route(&target.host, target.path()) else {
        return;
    };
    if let Intent::Cache(key) = intent::intent(target, &route.behaviour().rules) {
        way.edge.store.remove(key);
    }
}

/// A request that cannot be expressed towards the origin: prefix and path are too long.
const UNSENDABLE: Failure = Failure {
    blame: Blame::Us,
    phase: Phase::Send,
    timed_out: false,
    retry: Retry::No,
};

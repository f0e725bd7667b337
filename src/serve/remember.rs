//! Failures that are kept for a while, where the behaviour's error answers say so (CloudFront:
//! error caching minimum TTL).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::Way;
use crate::{
    policy::{
        Failure, Key, answer, deliver,
        errors::{self, Kept},
        settle::{self, Times},
    },
    store::Object,
};

/// Whether nothing is stored where a request that went on because of `fwd` looked, but, at
/// most, `stale`, an error: a variant that is still good must not be hidden.
pub(super) fn is_alone(fwd: &'static str, stale: Option<&Arc<Object>>) -> bool {
    match stale {
        None => fwd == "uri-miss",
        Some(stale) => stale.meta.status.is_server_error() && stale.meta.varying.is_none(),
    }
}

/// Keeps the failure in the place of an answer, if the behaviour wants that, so that those who
/// ask next do not wait for it again.
pub(super) fn remember(way: &Way, key: Key, failure: &Failure, times: Times) {
    let (edge, rules) = (&way.edge, way.rules());
    let told = answer::answer(failure);
    if errors::kept(&rules.viewer.errors, told.status, failure) == Kept::No {
        return;
    }
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let meta = settle::meta(&way.ask, rules, told.status, &headers, times);
    let Some(meta) = meta.ok().filter(|meta| !edge.covers(meta)) else {
        return;
    };
    // Whoever gets it is told to keep nothing: when to ask again is ours to know.
    let fields = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    headers.extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let headers = deliver::as_stored(&headers, rules, times.received, None);
    let body = Bytes::from(format!("{{\"error\":\"{}\"}}\n", told.error));
    let head = (meta, &headers);
    // Where there is no room for it, the next who asks hears it from the origin.
    let _ = edge.store.keep(key, head, &[body], times.received);
}

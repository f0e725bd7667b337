//! What a behaviour does to the head of an answer on its way out, in its order: an error told
//! otherwise, fields removed and set, what browsers of other sites' pages may read.

use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    Ask, Scheme, ViewerRules, cors,
    errors::{self, Content},
};

/// What of a request counts for it; it outlives the request, and making one allocates nothing.
#[derive(Clone, Debug)]
pub struct To {
    scheme: Scheme,
    /// The origin of the page that asks.
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl To {
    /// The part of `ask` that counts.
    pub fn of(ask: &Ask, rules: &ViewerRules) -> Self {
        Self {
            scheme: ask.scheme,
            origin: cors::origin(&ask.headers),
            preflight: rules.cors.is_some() && cors::is_preflight(ask),
        }
    }
}

/// Finishes a head; the content that stands in for the answer's own, if any does.
pub fn finish<'r>(
    rules: &'r ViewerRules,
    to: &To,
    status: &mut StatusCode,
    headers: &mut HeaderMap,
) -> Option<&'r Content> {
    let error = errors::of(&rules.errors, *status);
    if let Some(other) = error.and_then(|error| error.status) {
        *status = other;
    }
    let content = error.and_then(|error| error.content.as_ref());
    if let Some(content) = content {
        content.describe(headers);
    }
    rules.response.apply(to.scheme, *status, headers);
    if let Some(cors) = &rules.cors {
        if to.preflight {
            cors.preflight(to.origin.as_ref(), headers);
        } else {
            cors.deliver(to.origin.as_ref(), headers);
        }
    }
    content
}

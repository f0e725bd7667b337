//! Which of a viewer's fields reach the origin (CloudFront: origin request policy).
//!
//! Fields that only a trusted hop may set, or that make an origin answer for another URL, never
//! pass unless the behaviour names them.

use http::{HeaderName, header};

use super::{RequestDirectives, Rules, Selection};

/// Why the origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For an answer that may be stored: whole, and free of the viewer's conditions.
    Fill,
    /// For a part that may be stored: as for the whole, but range and conditions go along.
    Part,
    /// For this viewer alone: its conditions and ranges go along.
    Pass,
    /// To change protocols: `Upgrade` goes along too.
    Upgrade,
}

/// Fields that an origin trusts as coming from its own edge, or that make it answer for
/// another URL or method than the one keyed: not passed on "all", only by name.
pub const SPOOFABLE: &[&str] = &[
    "forwarded",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Fields that never pass, named or not: those of responses, meaningless or misleading in a
/// request, and the one that carries a secret of ours.
pub const NEVER_PASSED: &[&str] = &[
    "age",
    "cache-groups",
    "cache-status",
    "cache-tag",
    "cdn-cache-control",
    "surrogate-control",
    "surrogate-key",
    "warmfront-cache-control",
    "warmfront-debug",
    "x-cache",
];

/// Whether a viewer's field reaches the origin at all.
pub fn passes(name: &HeaderName, rules: &Rules) -> bool {
    if rules.key.headers.contains(name) {
        return true;
    }
    let text = name.as_str();
    if NEVER_PASSED.contains(&text) {
        return false;
    }
    // A body's own fields, and those handled by keys of their own, are no choice.
    let fixed = matches!(
        *name,
        header::ACCEPT_ENCODING
            | header::CONTENT_TYPE
            | header::CONTENT_LENGTH
            | header::CONTENT_ENCODING
            | header::COOKIE
    );
    match &rules.forward.headers {
        Selection::Only(_) => fixed || rules.forward.headers.takes(name),
        chosen => (fixed || chosen.takes(name)) && !SPOOFABLE.contains(&text),
    }
}

/// Fields besides `Host` that are made anew, whatever the viewer sent, and those that nothing is made of:
/// nobody here expects an interim response, and an upgrade to HTTP/2 in clear text, of which
/// `HTTP2-Settings` are, is none to us (RFC 9113 §3.1).
pub(super) fn replaced(name: &HeaderName) -> bool {
    // Told apart by their lengths, for the most part.
    matches!(
        name.as_str(),
        "cookie"
            | "via"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "expect"
            | "http2-settings"
    )
}

/// Fields that select a part of an answer or make it depend on what the viewer holds.
pub(super) fn selects(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::IF_MATCH
            | header::IF_NONE_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_UNMODIFIED_SINCE
            | header::IF_RANGE
            | header::RANGE
            | header::ACCEPT_ENCODING
    )
}

/// Fields that direct caches on the way, where the viewer has no say: an `only-if-cached`
/// would let it choose the answer that everyone gets.
pub(super) fn directs(name: &HeaderName, rules: &Rules) -> bool {
    rules.request_directives == RequestDirectives::Ignore
        && !rules.key.headers.contains(name)
        && matches!(*name, header::CACHE_CONTROL | header::PRAGMA)
}

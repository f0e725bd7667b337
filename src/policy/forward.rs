//! What of a viewer's request reaches the origin (CloudFront: origin request policy).
//!
//! The path is the canonical one that was matched and keyed. Fields that only
//! a trusted hop may set, or that make an origin answer for another URL, never
//! pass unless the behaviour names them.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, header,
    uri::{InvalidUri, PathAndQuery},
};

use super::{
    Ask, ForwardQuery, ForwardedFor, RequestDirectives, Rules, Selection, Target,
    peer::{X_FORWARDED_FOR, X_FORWARDED_PROTO},
};
use crate::fields::{cookie, encoding::Codings, forwarded, hop, query};

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

/// The head of a request to an origin.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The viewer's method.
    pub method: Method,
    /// The origin's prefix, the canonical path, the forwarded query.
    pub target: PathAndQuery,
    /// End-to-end fields and `Host`.
    pub headers: HeaderMap,
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

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The request that the origin gets for `ask`.
///
/// Errs when prefix, path and query together are no target; a checked configuration and
/// a checked path do not make one, a prefix that makes it too long can.
pub fn request(
    ask: &Ask,
    rules: &Rules,
    target: &Target,
    purpose: Purpose,
) -> Result<Outgoing, InvalidUri> {
    let mut headers = HeaderMap::with_capacity(ask.headers.len() + target.headers.len() + 8);
    // `Connection` and what it nominates are the viewer's connection's business, not ours.
    let ending = hop::Ending::of(&ask.headers, &rules.key.headers);
    for (name, value) in &ask.headers {
        let dropped = match purpose {
            Purpose::Fill => selects(name) || directs(name, rules),
            Purpose::Part => *name == header::ACCEPT_ENCODING || directs(name, rules),
            Purpose::Pass | Purpose::Upgrade => false,
        };
        if passes(name, rules) && !replaced(name) && !dropped && !ending.has(name) {
            headers.append(name, value.clone());
        }
    }
    if purpose == Purpose::Upgrade
        && let Some(protocol) = hop::wants_upgrade(&ask.headers)
    {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    let stored = matches!(purpose, Purpose::Fill | Purpose::Part);
    if stored && ask.headers.contains_key(header::ACCEPT_ENCODING) {
        let codings = Codings::parse(ask.headers.get_all(header::ACCEPT_ENCODING)).normalised();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
    cookies(ask, rules, &mut headers);
    headers.insert(X_FORWARDED_FOR, forwarded_for(ask, rules));
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(ask.scheme.as_str()),
    );
    if let Ok(host) = HeaderValue::from_str(ask.host.as_str()) {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(
        header::VIA,
        forwarded::via(ask.headers.get_all(header::VIA), ask.version),
    );
    for (name, value) in &target.headers {
        headers.insert(name, value.clone());
    }
    headers.insert(header::HOST, target.authority.clone());
    let target = path_and_query(ask, rules, &target.prefix)?;
    Ok(Outgoing {
        method: ask.method.clone(),
        target,
        headers,
    })
}

/// What came and who connected, or the viewer alone.
fn forwarded_for(ask: &Ask, rules: &Rules) -> HeaderValue {
    match rules.viewer.forwarded_for {
        ForwardedFor::Append => {
            forwarded::append_for(ask.headers.get_all(X_FORWARDED_FOR), ask.peer)
        }
        ForwardedFor::Replace => forwarded::append_for([], ask.viewer.ip()),
    }
}

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

/// Fields that are made anew, whatever the viewer sent, and those that nothing is made of:
/// nobody here expects an interim response, and an upgrade to HTTP/2 in clear text, of which
/// `HTTP2-Settings` are, is none to us (RFC 9113 §3.1).
fn replaced(name: &HeaderName) -> bool {
    // Told apart by their lengths, for the most part.
    matches!(
        name.as_str(),
        "host"
            | "cookie"
            | "via"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "expect"
            | "http2-settings"
    )
}

/// Fields that select a part of an answer or make it depend on what the viewer holds.
fn selects(name: &HeaderName) -> bool {
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
fn directs(name: &HeaderName, rules: &Rules) -> bool {
    rules.request_directives == RequestDirectives::Ignore
        && !rules.key.headers.contains(name)
        && matches!(*name, header::CACHE_CONTROL | header::PRAGMA)
}

/// The forwarded cookies in one field, in the viewer's order; none, no field.
fn cookies(ask: &Ask, rules: &Rules, headers: &mut HeaderMap) {
    let sent = ask.headers.get_all(header::COOKIE);
    if rules.forward.cookies == Selection::All {
        for line in sent {
            headers.append(header::COOKIE, line.clone());
        }
        return;
    }
    let mut kept = Vec::new();
    for (name, value) in cookie::pairs(sent) {
        let keyed = rules.key.cookies.iter().any(|key| key == name);
        if keyed || rules.forward.cookies.takes(name) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(name);
            kept.push(b'=');
            kept.extend_from_slice(value);
        }
    }
    // The pieces of a valid value joined by valid characters are one.
    if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_bytes(&kept)) {
        headers.insert(header::COOKIE, value);
    }
}

/// The origin's prefix, the canonical path and the forwarded parameters, raw and in order.
fn path_and_query(ask: &Ask, rules: &Rules, prefix: &str) -> Result<PathAndQuery, InvalidUri> {
    let query = match (&rules.forward.query, ask.query()) {
        (_, None) => None,
        (ForwardQuery::All, query) => query.map(str::to_owned),
        (ForwardQuery::Key, _) if rules.key.query == Selection::All => {
            ask.query().map(str::to_owned)
        }
        (ForwardQuery::Key, Some(query)) => chosen(query, rules, &[]),
        (ForwardQuery::KeyAnd(names), Some(query)) => chosen(query, rules, names),
    };
    if prefix.is_empty() && ask.rewritten.is_none() && query.as_deref() == ask.target.query() {
        return Ok(ask.target.clone());
    }
    let path = ask.path();
    let whole = match query {
        Some(query) => format!("{prefix}{path}?{query}"),
        None => format!("{prefix}{path}"),
    };
    PathAndQuery::try_from(whole)
}

fn chosen(query: &str, rules: &Rules, more: &[Vec<u8>]) -> Option<String> {
    let kept: Vec<&str> = query::pieces(query)
        .filter(|piece| rules.key.keeps(piece) || more.iter().any(|name| *name == *piece.name()))
        .map(|piece| piece.raw)
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, fields, rules};

    fn target() -> Target {
        Target {
            authority: HeaderValue::from_static("api.example.com"),
            prefix: "/v1".into(),
            headers: vec![("x-secret".parse().unwrap(), HeaderValue::from_static("s"))],
        }
    }

    fn sent(ask: &Ask, rules: &Rules, purpose: Purpose) -> Outgoing {
        request(ask, rules, &target(), purpose).unwrap()
    }

    fn with(named: &[(&'static str, &str)]) -> Ask {
        Ask {
            headers: fields(named),
            ..ask("/a")
        }
    }

    fn only(names: &[&str]) -> Selection<Vec<u8>> {
        Selection::Only(names.iter().map(|name| name.as_bytes().to_vec()).collect())
    }

    #[track_caller]
    fn check_target(rules: &Rules, asked: &str, expected: &str) {
        let outgoing = sent(&ask(asked), rules, Purpose::Fill);
        assert_eq!(outgoing.target.as_str(), expected);
    }

    #[test]
    fn the_query_is_forwarded_as_the_behaviour_says() {
        let mut rules = rules();
        check_target(&rules, "/a?b=1&a=%32", "/v1/a?b=1&a=%32");
        rules.key.query = only(&["a"]);
        check_target(&rules, "/a?b=1&a=%32&c", "/v1/a?a=%32");
        rules.forward.query = ForwardQuery::KeyAnd(vec![b"c".to_vec()]);
        check_target(&rules, "/a?b=1&a=%32&c", "/v1/a?a=%32&c");
        rules.forward.query = ForwardQuery::All;
        check_target(&rules, "/a?b=1&a=%32&c", "/v1/a?b=1&a=%32&c");
        rules.forward.query = ForwardQuery::Key;
        check_target(&rules, "/a?b=1", "/v1/a");
    }

    #[test]
    fn the_canonical_path_is_what_the_origin_gets() {
        let mut asked = ask("/x/../a");
        asked.rewritten = Some("/a".into());
        assert_eq!(
            sent(&asked, &rules(), Purpose::Pass).target.as_str(),
            "/v1/a"
        );
    }

    #[test]
    fn p1_p2_spoofable_fields_do_not_pass_unless_named() {
        let asked = with(&[
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "gopher"),
            ("x-original-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("forwarded", "host=evil"),
            ("accept", "*/*"),
        ]);
        let headers = sent(&asked, &rules(), Purpose::Pass).headers;
        assert_eq!(headers["x-forwarded-host"], "example.test");
        assert_eq!(headers["x-forwarded-proto"], "http");
        for name in ["x-original-url", "x-http-method-override", "forwarded"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["accept"], "*/*");
        let mut named = rules();
        named.forward.headers = Selection::Only(vec!["x-original-url".parse().unwrap()]);
        let headers = sent(&asked, &named, Purpose::Pass).headers;
        assert!(headers.contains_key("x-original-url") && !headers.contains_key("accept"));
    }

    #[test]
    fn p24_p25_fields_of_responses_never_pass() {
        let asked = with(&[
            ("cache-status", "x"),
            ("age", "1"),
            ("cdn-cache-control", "x"),
        ]);
        let headers = sent(&asked, &rules(), Purpose::Pass).headers;
        for name in ["cache-status", "age", "cdn-cache-control"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn c8_a_fill_carries_no_condition_and_no_range() {
        let asked = with(&[("if-none-match", "\"1\""), ("range", "bytes=0-0")]);
        let fill = sent(&asked, &rules(), Purpose::Fill).headers;
        assert!(!fill.contains_key("if-none-match") && !fill.contains_key("range"));
        let pass = sent(&asked, &rules(), Purpose::Pass).headers;
        assert!(pass.contains_key("if-none-match") && pass.contains_key("range"));
    }

    #[test]
    fn c11_the_viewers_connection_fields_stop_here() {
        let asked = with(&[
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("te", "gzip"),
        ]);
        let headers = sent(&asked, &rules(), Purpose::Pass).headers;
        for name in ["connection", "x-hop", "te"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn an_upgrade_carries_its_protocol() {
        let asked = with(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let headers = sent(&asked, &rules(), Purpose::Upgrade).headers;
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (
                &HeaderValue::from_static("upgrade"),
                &HeaderValue::from_static("websocket"),
            )
        );
        assert!(
            !sent(&asked, &rules(), Purpose::Pass)
                .headers
                .contains_key("upgrade")
        );
    }

    #[test]
    fn cookies_are_filtered_and_keyed_ones_always_go() {
        let asked = with(&[("cookie", "a=1; b=2; c=3")]);
        let mut rules = rules();
        assert_eq!(
            sent(&asked, &rules, Purpose::Pass).headers["cookie"],
            "a=1; b=2; c=3"
        );
        rules.forward.cookies = Selection::None;
        assert!(
            !sent(&asked, &rules, Purpose::Pass)
                .headers
                .contains_key("cookie")
        );
        rules.key.cookies = vec![b"b".to_vec()];
        assert_eq!(sent(&asked, &rules, Purpose::Pass).headers["cookie"], "b=2");
    }

    #[test]
    fn the_origins_own_fields_overwrite_the_viewers() {
        let asked = with(&[("x-secret", "guess"), ("host", "example.test")]);
        let headers = sent(&asked, &rules(), Purpose::Pass).headers;
        assert_eq!(headers["x-secret"], "s");
        assert_eq!(headers["host"], "api.example.com");
        assert_eq!(headers["via"], "1.1 warmfront");
    }
}

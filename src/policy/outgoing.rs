//! The request that the origin gets, of what passes of the viewer's and what the edge adds.
//!
//! The path is the canonical one that was matched and keyed.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, header,
    uri::{InvalidUri, PathAndQuery},
};

use super::{
    Ask, ForwardQuery, ForwardedFor, Rules, Selection, Target,
    forward::{Purpose, directs, passes, replaced, selects},
    peer::{X_FORWARDED_FOR, X_FORWARDED_PROTO},
};
use crate::fields::{cookie, encoding::Codings, forwarded, hop, query, target};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How many fields a request gains at most, besides those of the configuration.
const ADDED_FIELDS: usize = 8;

/// The head of a request to an origin. It is made anew each time it is written, which is once
/// but for repeated attempts.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    ask: &'a Ask,
    rules: &'a Rules,
    purpose: Purpose,
    /// What every request to this origin has.
    fixed: &'a Target,
    /// The origin's prefix, the canonical path, the forwarded query.
    target: Cow<'a, target::Target>,
    /// Those of the edge itself.
    conditions: Vec<(HeaderName, HeaderValue)>,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// One that was configured.
    Given(&'a HeaderValue),
    /// One that came, or is made for this request, of what field values are made of.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Its bytes; `None` where they are no field value, and would end the line.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Given(value) => Some(value.as_bytes()),
            Self::Bytes(bytes) => {
                // Without a branch, many are looked at at a time.
                let sound = |&byte: &u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
                let all = bytes.iter().fold(true, |all, byte| all & sound(byte));
                all.then_some(bytes)
            }
        }
    }

    /// The same, to keep.
    pub fn to_owned(&self) -> Option<HeaderValue> {
        match self {
            Self::Given(value) => Some((*value).clone()),
            Self::Bytes(bytes) => HeaderValue::from_bytes(bytes).ok(),
        }
    }
}

/// The request that the origin gets for `ask`.
///
/// Errs when prefix, path and query together are no target; a checked configuration and
/// a checked path do not make one, a prefix that makes it too long can.
pub fn request<'a>(
    ask: &'a Ask,
    rules: &'a Rules,
    fixed: &'a Target,
    purpose: Purpose,
) -> Result<Outgoing<'a>, InvalidUri> {
    Ok(Outgoing {
        ask,
        rules,
        purpose,
        fixed,
        target: path_and_query(ask, rules, &fixed.prefix)?,
        conditions: Vec::new(),
    })
}

impl Outgoing<'_> {
    /// The viewer's method.
    pub fn method(&self) -> &Method {
        &self.ask.method
    }

    /// The origin's prefix, the canonical path, the forwarded query.
    pub fn target(&self) -> &target::Target {
        &self.target
    }

    /// Whether it asks to change protocols.
    pub fn asks_upgrade(&self) -> bool {
        self.purpose == Purpose::Upgrade
    }

    /// Adds `conditions` to a fill, which has none of its own; a configuration sets none.
    pub fn condition(&mut self, conditions: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
        self.conditions.extend(conditions);
    }

    /// All its fields in a map.
    pub fn headers(&self) -> HeaderMap {
        let room = self.ask.headers.len() + self.fixed.headers.len() + ADDED_FIELDS;
        let mut headers = HeaderMap::with_capacity(room);
        self.each_field(|name, value| {
            if let Some(value) = value.to_owned() {
                headers.append(name, value);
            }
        });
        headers
    }

    /// Gives every field to `take`: `Host`, and those that are end to end.
    pub fn each_field(&self, mut take: impl FnMut(&HeaderName, Value<'_>)) {
        let (ask, rules) = (self.ask, self.rules);
        // "A user agent that generates Host SHOULD send it as the first field in the header
        // section" (RFC 9110 §7.2).
        take(&header::HOST, Value::Given(&self.fixed.authority));
        let sent = self.viewers_fields(&mut take);
        let mut made = |name: &HeaderName, value: Value<'_>| {
            if !self.is_fixed(name) {
                take(name, value);
            }
        };
        if self.purpose == Purpose::Upgrade
            && let Some(protocol) = hop::wants_upgrade(&ask.headers)
        {
            made(&header::CONNECTION, Value::Bytes(b"upgrade"));
            made(&header::UPGRADE, Value::Bytes(protocol));
        }
        let stored = matches!(self.purpose, Purpose::Fill | Purpose::Part);
        if stored && sent.codings {
            let codings = Codings::parse(ask.headers.get_all(header::ACCEPT_ENCODING));
            let codings = codings.normalised().as_bytes();
            made(&header::ACCEPT_ENCODING, Value::Bytes(codings));
        }
        if sent.replaced {
            cookies(ask, rules, |value| made(&header::COOKIE, value));
        }
        let peers = forwarded_for(ask, rules, sent.replaced);
        made(&X_FORWARDED_FOR, Value::Bytes(peers.as_bytes()));
        let scheme = ask.scheme.as_str().as_bytes();
        made(&X_FORWARDED_PROTO, Value::Bytes(scheme));
        let host = ask.host.as_str().as_bytes();
        made(&X_FORWARDED_HOST, Value::Bytes(host));
        let before = sent.replaced.then(|| ask.headers.get_all(header::VIA));
        let via = forwarded::via(before.into_iter().flatten(), ask.version);
        made(&header::VIA, Value::Given(&via));
        for (name, value) in self.fixed.headers.iter().chain(&self.conditions) {
            take(name, Value::Given(value));
        }
    }

    /// Gives those of the viewer's own fields to `take` that go on; which others it sent.
    fn viewers_fields(&self, take: &mut impl FnMut(&HeaderName, Value<'_>)) -> Sent {
        let mut sent = Sent::default();
        let (ask, rules) = (self.ask, self.rules);
        // `Connection` and what it nominates are the viewer's connection's business, not ours.
        let ending = hop::Ending::of(&ask.headers, &rules.key.headers);
        for (name, value) in ask.headers.iter() {
            if *name == header::HOST {
                continue;
            }
            sent.codings |= *name == header::ACCEPT_ENCODING;
            if replaced(name) {
                sent.replaced = true;
                continue;
            }
            let dropped = match self.purpose {
                Purpose::Fill => selects(name) || directs(name, rules),
                Purpose::Part => *name == header::ACCEPT_ENCODING || directs(name, rules),
                Purpose::Pass | Purpose::Upgrade => false,
            };
            if !dropped && passes(name, rules) && !ending.has(name) && !self.is_fixed(name) {
                take(name, Value::Bytes(value));
            }
        }
        sent
    }

    /// Whether the value of a field is the configuration's.
    fn is_fixed(&self, name: &HeaderName) -> bool {
        self.fixed.headers.iter().any(|(fixed, _)| fixed == name)
    }
}

/// Which fields there are among a viewer's, so that nobody searches for those that most do
/// without.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// One of those that are made anew.
    replaced: bool,
    /// `Accept-Encoding`.
    codings: bool,
}

/// No values.
const NOBODY: [&[u8]; 0] = [];

/// What came, where something came, and who connected; or the viewer alone.
fn forwarded_for(ask: &Ask, rules: &Rules, came: bool) -> forwarded::Line {
    match rules.viewer.forwarded_for {
        ForwardedFor::Append if came => {
            forwarded::append_for(ask.headers.get_all(X_FORWARDED_FOR), ask.peer)
        }
        ForwardedFor::Append => forwarded::append_for(NOBODY, ask.peer),
        ForwardedFor::Replace => forwarded::append_for(NOBODY, ask.viewer.ip()),
    }
}

/// Gives the forwarded cookies to `take`, in the viewer's order: in one field, or as they came
/// where all are.
fn cookies(ask: &Ask, rules: &Rules, mut take: impl FnMut(Value<'_>)) {
    let sent = ask.headers.get_all(header::COOKIE);
    if rules.forward.cookies == Selection::All {
        sent.for_each(|line| take(Value::Bytes(line)));
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
    if !kept.is_empty() {
        // The pieces of a valid value joined by valid characters are one.
        take(Value::Bytes(&kept));
    }
}

/// The origin's prefix, the canonical path and the forwarded parameters, raw and in order.
fn path_and_query<'a>(
    ask: &'a Ask,
    rules: &Rules,
    prefix: &str,
) -> Result<Cow<'a, target::Target>, InvalidUri> {
    let query = match (&rules.forward.query, ask.query()) {
        (_, None) => None,
        (ForwardQuery::All, query) => query.map(Cow::Borrowed),
        (ForwardQuery::Key, query) if rules.key.query == Selection::All => query.map(Cow::Borrowed),
        (ForwardQuery::Key, Some(query)) => chosen(query, rules, &[]).map(Cow::Owned),
        (ForwardQuery::KeyAnd(names), Some(query)) => chosen(query, rules, names).map(Cow::Owned),
    };
    if prefix.is_empty() && ask.rewritten.is_none() && query.as_deref() == ask.target.query() {
        return Ok(Cow::Borrowed(&ask.target));
    }
    let path = ask.path();
    let whole = match query {
        Some(query) => format!("{prefix}{path}?{query}"),
        None => format!("{prefix}{path}"),
    };
    Ok(Cow::Owned((&PathAndQuery::try_from(whole)?).into()))
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

    /// The target and the fields of what is sent.
    fn sent(ask: &Ask, rules: &Rules, purpose: Purpose) -> (String, HeaderMap) {
        let target = target();
        let outgoing = request(ask, rules, &target, purpose).unwrap();
        (outgoing.target().as_str().to_owned(), outgoing.headers())
    }

    fn with(named: &[(&'static str, &str)]) -> Ask {
        Ask {
            headers: fields(named).into(),
            ..ask("/a")
        }
    }

    fn only(names: &[&str]) -> Selection<Vec<u8>> {
        Selection::Only(names.iter().map(|name| name.as_bytes().to_vec()).collect())
    }

    #[track_caller]
    fn check_target(rules: &Rules, asked: &str, expected: &str) {
        assert_eq!(sent(&ask(asked), rules, Purpose::Fill).0, expected);
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
        assert_eq!(sent(&asked, &rules(), Purpose::Pass).0, "/v1/a");
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
        let headers = sent(&asked, &rules(), Purpose::Pass).1;
        assert_eq!(headers["x-forwarded-host"], "example.test");
        assert_eq!(headers["x-forwarded-proto"], "http");
        for name in ["x-original-url", "x-http-method-override", "forwarded"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["accept"], "*/*");
        let mut named = rules();
        named.forward.headers = Selection::Only(vec!["x-original-url".parse().unwrap()]);
        let headers = sent(&asked, &named, Purpose::Pass).1;
        assert!(headers.contains_key("x-original-url") && !headers.contains_key("accept"));
    }

    #[test]
    fn p24_p25_fields_of_responses_never_pass() {
        let asked = with(&[
            ("cache-status", "x"),
            ("age", "1"),
            ("cdn-cache-control", "x"),
        ]);
        let headers = sent(&asked, &rules(), Purpose::Pass).1;
        for name in ["cache-status", "age", "cdn-cache-control"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn c8_a_fill_carries_no_condition_and_no_range() {
        let asked = with(&[("if-none-match", "\"1\""), ("range", "bytes=0-0")]);
        let fill = sent(&asked, &rules(), Purpose::Fill).1;
        assert!(!fill.contains_key("if-none-match") && !fill.contains_key("range"));
        let pass = sent(&asked, &rules(), Purpose::Pass).1;
        assert!(pass.contains_key("if-none-match") && pass.contains_key("range"));
    }

    #[test]
    fn c11_the_viewers_connection_fields_stop_here() {
        let asked = with(&[
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("te", "gzip"),
        ]);
        let headers = sent(&asked, &rules(), Purpose::Pass).1;
        for name in ["connection", "x-hop", "te"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn an_upgrade_carries_its_protocol() {
        let asked = with(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        let headers = sent(&asked, &rules(), Purpose::Upgrade).1;
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (
                &HeaderValue::from_static("upgrade"),
                &HeaderValue::from_static("websocket"),
            )
        );
        assert!(
            !sent(&asked, &rules(), Purpose::Pass)
                .1
                .contains_key("upgrade")
        );
    }

    #[test]
    fn cookies_are_filtered_and_keyed_ones_always_go() {
        let asked = with(&[("cookie", "a=1; b=2; c=3")]);
        let mut rules = rules();
        assert_eq!(
            sent(&asked, &rules, Purpose::Pass).1["cookie"],
            "a=1; b=2; c=3"
        );
        rules.forward.cookies = Selection::None;
        assert!(!sent(&asked, &rules, Purpose::Pass).1.contains_key("cookie"));
        rules.key.cookies = vec![b"b".to_vec()];
        assert_eq!(sent(&asked, &rules, Purpose::Pass).1["cookie"], "b=2");
    }

    #[test]
    fn host_is_the_first_field() {
        let asked = with(&[("accept", "*/*"), ("host", "example.test")]);
        let headers = sent(&asked, &rules(), Purpose::Pass).1;
        assert_eq!(headers.keys().next(), Some(&header::HOST));
        assert_eq!(headers.get_all("host").iter().count(), 1);
    }

    #[test]
    fn a_configured_field_stands_in_the_place_of_the_edges_own() {
        let mut target = target();
        let https = HeaderValue::from_static("https");
        target.headers = vec![(X_FORWARDED_PROTO, https.clone())];
        let (ask, rules) = (ask("/a"), rules());
        let outgoing = request(&ask, &rules, &target, Purpose::Pass).unwrap();
        let headers = outgoing.headers();
        let all: Vec<_> = headers.get_all(X_FORWARDED_PROTO).iter().collect();
        assert_eq!(all, [&https]);
    }

    #[test]
    fn what_would_end_a_line_is_no_value() {
        let made = Value::Bytes(b"a\r\nx-b: c");
        assert_eq!((made.bytes(), made.to_owned()), (None, None));
        let made = Value::Bytes(b"a\tb");
        assert_eq!(made.bytes(), Some(&b"a\tb"[..]));
    }

    #[test]
    fn the_origins_own_fields_overwrite_the_viewers() {
        let asked = with(&[("x-secret", "guess"), ("host", "example.test")]);
        let headers = sent(&asked, &rules(), Purpose::Pass).1;
        assert_eq!(headers["x-secret"], "s");
        assert_eq!(headers["host"], "api.example.com");
        assert_eq!(headers["via"], "1.1 warmfront");
    }
}

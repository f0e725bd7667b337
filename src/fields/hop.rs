//! Which fields end at this hop (RFC 9110 §7.6.1).
//!
//! "Intermediaries MUST parse a received Connection header field before a
//! message is forwarded and, for each connection-option in this field, remove
//! any header or trailer field(s) from the message with the same name". A viewer
//! that could remove `Authorization` or `X-Forwarded-For` that way would decide
//! what the origin believes and what the key holds, so some names are deaf to it.

use http::{
    HeaderMap, HeaderName,
    header::{self, CONNECTION, UPGRADE},
};
use smallvec::SmallVec;

use super::{list::members, section::Fields};

/// End-to-end fields that Connection cannot remove: framing, identity, and what
/// decides about storing and reuse. "A sender MUST NOT send a connection option
/// corresponding to a field that is intended for all recipients of the content."
static PROTECTED: [HeaderName; 32] = [
    header::ACCEPT_ENCODING,
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LAST_MODIFIED,
    header::ORIGIN,
    header::PRAGMA,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("warmfront-cache-control"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
];

/// The fields of one message that end here: the hop-by-hop ones, and those that its
/// Connection names unless they are protected.
///
/// Protected are the built-in names above, every `X-Forwarded-*`, and whatever else the
/// behaviour relies on: keyed fields, tags.
#[derive(Debug)]
pub struct Ending(SmallVec<[HeaderName; 4]>);

impl Ending {
    /// Those of a message with `headers`; `protected` are deaf to Connection too.
    pub fn of(headers: &impl Fields, protected: &[HeaderName]) -> Self {
        if headers.first(&CONNECTION).is_none() {
            return Self(SmallVec::new());
        }
        let nominated = members(headers.all(&CONNECTION))
            .filter_map(|option| HeaderName::from_bytes(option).ok())
            .filter(|name| !is_protected(name) && !protected.contains(name));
        Self(nominated.collect())
    }

    /// Whether the field `name` is one of them.
    pub fn has(&self, name: &HeaderName) -> bool {
        is_hop_by_hop(name) || self.0.contains(name)
    }
}

/// Removes the fields that end here; of those that Connection names, not the `protected`.
pub fn strip(headers: &mut HeaderMap, protected: &[HeaderName]) {
    let ending = Ending::of(headers, protected);
    let names = headers.keys().filter(|name| ending.has(name));
    let gone: SmallVec<[HeaderName; 4]> = names.cloned().collect();
    for name in &gone {
        headers.remove(name);
    }
}

/// Whether a field is about one connection by its name alone, whether Connection names it or
/// not. `Alt-Svc` is not one by the letter, but says where else its sender can be reached
/// (RFC 7838 §3): a viewer that followed an origin's would go past us, and there is nowhere
/// else to reach us.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Told apart by their lengths, for the most part.
    matches!(
        name.as_str(),
        "alt-svc"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
    )
}

/// The Upgrade field, when the message asks for it in Connection too.
///
/// "A sender of Upgrade MUST also send an 'Upgrade' connection option"
/// (RFC 9110 §7.8); without it the field was not meant for us.
pub fn wants_upgrade(headers: &impl Fields) -> Option<&[u8]> {
    let upgrade = headers.first(&UPGRADE)?;
    members(headers.all(&CONNECTION))
        .any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        .then_some(upgrade)
}

fn is_protected(name: &HeaderName) -> bool {
    PROTECTED.contains(name) || name.as_str().starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[track_caller]
    fn check(lines: &[(&'static str, &'static str)], wanted: &[&str]) {
        let mut headers = headers(lines);
        strip(&mut headers, &[HeaderName::from_static("x-key")]);
        let mut seen: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        seen.sort_unstable();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        check(
            &[
                ("connection", "close"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("te", "trailers"),
                ("trailer", "x"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("proxy-authenticate", "Basic"),
                ("proxy-authorization", "Basic x"),
                ("accept", "*/*"),
            ],
            &["accept"],
        );
    }

    #[test]
    fn connection_names_more_of_them() {
        check(
            &[
                ("connection", "a, ,B"),
                ("connection", "c"),
                ("a", "1"),
                ("a", "2"),
                ("b", "1"),
                ("c", "1"),
                ("d", "1"),
            ],
            &["d"],
        );
        check(&[("a", "1")], &["a"]);
        check(
            &[
                (
                    "connection",
                    "not a name, \u{7f}".trim_end_matches('\u{7f}'),
                ),
                ("a", "1"),
            ],
            &["a"],
        );
    }

    #[test]
    fn protected_fields_cannot_be_named_away() {
        check(
            &[
                (
                    "connection",
                    "Host, authorization, Cookie, cache-control, X-Forwarded-For, x",
                ),
                ("connection", "Content-Length, X-Forwarded-Host, X-Key"),
                ("host", "a"),
                ("authorization", "b"),
                ("cookie", "c"),
                ("cache-control", "no-store"),
                ("x-forwarded-for", "d"),
                ("x-forwarded-host", "e"),
                ("content-length", "0"),
                ("x-key", "f"),
                ("x", "g"),
            ],
            &[
                "authorization",
                "cache-control",
                "content-length",
                "cookie",
                "host",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-key",
            ],
        );
    }

    #[test]
    fn an_upgrade_is_asked_for_twice() {
        #[track_caller]
        fn check(lines: &[(&'static str, &'static str)], wanted: Option<&str>) {
            let headers = headers(lines);
            assert_eq!(
                wants_upgrade(&headers).map(|value| str::from_utf8(value).unwrap()),
                wanted
            );
        }
        check(
            &[
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
            ],
            Some("websocket"),
        );
        check(&[("upgrade", "websocket")], None);
        check(&[("connection", "upgrade")], None);
        check(&[("connection", "close"), ("upgrade", "websocket")], None);
    }

    proptest! {
        #[test]
        fn no_connection_value_panics(text: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                let mut headers = HeaderMap::new();
                headers.insert(CONNECTION, value);
                headers.insert(header::HOST, HeaderValue::from_static("a"));
                strip(&mut headers, &[]);
                prop_assert_eq!(headers.len(), 1);
            }
        }
    }
}

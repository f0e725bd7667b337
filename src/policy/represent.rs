//! In which coding a viewer gets a stored response, and the head that says so (RFC 9110 §8.4,
//! §12.5.3).
//!
//! Viewers and the caches behind us are told `Vary: Accept-Encoding` on every answer of which
//! there may be several codings, whatever its own.
//!
//! The origin's own bytes keep its validators, and ranges are cut from them alone. Bytes that
//! the edge made have a weak entity tag: a strong one "changes value whenever a change occurs
//! to the representation data that would be observable in the content" (RFC 9110 §8.8.1),
//! which a coding is. Parts may only be combined by a strong one (§15.3.7.3).

use http::{HeaderMap, HeaderValue, Version, header};

use super::{Ask, RequestDirectives, Rules, recode::Recodable, variant};
use crate::fields::{
    cache_control::Directives,
    encoding::{Coding, Codings},
    etag::EntityTag,
};

/// The codings of which the viewer gets one, best first, its own word only as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What the origin sent.
    Own,
    /// The first of these that there is; the origin's may be among them.
    Best(Codings),
    /// The content itself, and nothing else: it accepts no other.
    Decoded,
}

/// What of a response that came as `response` answers `ask`.
///
/// Who sends no Accept-Encoding gets what the origin sent, unless the origin chose that by
/// another viewer's Accept-Encoding: "If no Accept-Encoding header field is in the request,
/// any content coding is considered acceptable by the user agent", and an origin that gives
/// the same coding to everybody means it (a `.tar.gz` that is said to be encoded).
/// A refusal of identity that nothing can meet is not answered 406: identity is what "the
/// origin server SHOULD send" in that case, unless refused, and a cache that refuses would
/// take an API down that answers.
pub fn wanted(ask: &Ask, rules: &Rules, response: Recodable) -> Wanted {
    let Recodable { own, negotiated } = response;
    let lines = ask.headers.get_all(header::ACCEPT_ENCODING);
    let asked = ask.headers.has(header::ACCEPT_ENCODING);
    if own == Coding::Identity {
        // A reload may have ended it since the response was stored.
        let asked = asked && rules.compress;
        // Viewers of HTTP/1.0 get no coding from CloudFront either.
        let plain = !asked || ask.version < Version::HTTP_11 || untouched(ask, rules);
        return if plain {
            Wanted::Own
        } else {
            Wanted::Best(Codings::parse(lines))
        };
    }
    let codings = Codings::parse(lines);
    let taken = if asked {
        codings.accepts(own)
    } else {
        !negotiated
    };
    if taken || untouched(ask, rules) || asked && !codings.accepts(Coding::Identity) {
        Wanted::Own
    } else {
        Wanted::Decoded
    }
}

/// Whether the viewer asks for content as the origin sent it: "the client is asking for
/// intermediaries to avoid transforming the content" (RFC 9111 §5.2.1.6).
fn untouched(ask: &Ask, rules: &Rules) -> bool {
    rules.request_directives == RequestDirectives::Honour
        && Directives::parse(ask.headers.get_all(header::CACHE_CONTROL)).no_transform
}

/// Adds `Accept-Encoding` to `Vary`, for a response of which there are several codings.
pub fn vary(headers: &mut HeaderMap) {
    let named = variant::names(headers);
    if named.is_ok_and(|names| !names.contains(&header::ACCEPT_ENCODING)) {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The fields of the response with `own` fields when its body is `length` bytes in `coding`.
///
/// `Accept-Ranges` is left out, since no ranges are cut from what the edge made; the entity
/// tag is weak, and one that cannot be read is left out.
pub fn head(own: &HeaderMap, coding: Coding, length: u64) -> HeaderMap {
    let mut headers = own.clone();
    headers.remove(header::ACCEPT_RANGES);
    headers.remove(header::CONTENT_ENCODING);
    if coding != Coding::Identity {
        let name = HeaderValue::from_static(coding.name());
        headers.insert(header::CONTENT_ENCODING, name);
    }
    headers.insert(header::CONTENT_LENGTH, length.into());
    if let Some(tag) = headers.remove(header::ETAG)
        && let Some(tag) = weakened(&tag)
    {
        headers.insert(header::ETAG, tag);
    }
    headers
}

fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let parsed = EntityTag::parse(tag.as_bytes())?;
    if parsed.weak {
        return Some(tag.clone());
    }
    HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, fields, rules};

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn viewer(accepted: Option<&str>) -> Ask {
        let mut ask = ask("/a");
        if let Some(accepted) = accepted {
            ask.headers = fields(&[("accept-encoding", accepted)]).into();
        }
        ask
    }

    #[test]
    fn a_viewer_gets_the_origins_coding_where_it_takes_it() {
        #[track_caller]
        fn check(own: Coding, negotiated: bool, accepted: Option<&str>, expected: Wanted) {
            let response = Recodable { own, negotiated };
            let seen = wanted(&viewer(accepted), &rules(), response);
            assert_eq!(seen, expected, "{own:?} {negotiated} {accepted:?}");
        }
        use Wanted::{Decoded, Own};
        check(Coding::Identity, true, None, Own);
        check(Coding::Gzip, true, Some("gzip, br"), Own);
        check(Coding::Gzip, true, Some("*"), Own);
        check(Coding::Gzip, true, Some("br"), Decoded);
        check(Coding::Gzip, false, Some("br"), Decoded);
        check(Coding::Gzip, true, Some("identity"), Decoded);
        check(Coding::Gzip, true, Some(""), Decoded);
        check(Coding::Gzip, true, Some("gzip;q=0"), Decoded);
        check(Coding::Gzip, true, None, Decoded);
        check(Coding::Gzip, false, None, Own);
        check(Coding::Gzip, true, Some("br, identity;q=0"), Own);
        let best = Wanted::Best(Codings::parse(["br;q=0.5, gzip"]));
        check(Coding::Identity, false, Some("br;q=0.5, gzip"), best);
    }

    #[test]
    fn a_viewer_may_ask_to_leave_content_alone_where_that_counts() {
        let response = Recodable {
            own: Coding::Identity,
            negotiated: false,
        };
        let mut ask = viewer(Some("br"));
        let no_transform = HeaderValue::from_static("no-transform");
        ask.headers.insert(header::CACHE_CONTROL, no_transform);
        assert_ne!(wanted(&ask, &rules(), response), Wanted::Own);
        let honour = Rules {
            request_directives: RequestDirectives::Honour,
            ..rules()
        };
        assert_eq!(wanted(&ask, &honour, response), Wanted::Own);
        let off = Rules {
            compress: false,
            ..rules()
        };
        assert_eq!(wanted(&viewer(Some("br")), &off, response), Wanted::Own);
        let old = Ask {
            version: Version::HTTP_10,
            ..viewer(Some("gzip"))
        };
        assert_eq!(wanted(&old, &rules(), response), Wanted::Own);
    }

    #[test]
    fn the_head_of_a_coding_says_what_it_is() {
        let own = fields(&[
            JSON,
            ("content-length", "5000"),
            ("accept-ranges", "bytes"),
            ("etag", "\"1\""),
            ("vary", "accept"),
        ]);
        let mut varying = own.clone();
        vary(&mut varying);
        vary(&mut varying);
        assert_eq!(varying.get_all("vary").iter().count(), 2);
        let made = head(&varying, Coding::Br, 700);
        assert_eq!(
            (&made["content-encoding"], &made["content-length"]),
            (&"br".parse().unwrap(), &"700".parse().unwrap())
        );
        assert_eq!(made["etag"], "W/\"1\"");
        assert!(!made.contains_key("accept-ranges"));
        let decoded = head(
            &fields(&[("content-encoding", "gzip"), ("etag", "W/\"2\"")]),
            Coding::Identity,
            9,
        );
        assert_eq!(decoded["etag"], "W/\"2\"");
        assert!(!decoded.contains_key("content-encoding"));
        assert!(!head(&fields(&[("etag", "x")]), Coding::Br, 1).contains_key("etag"));
    }
}

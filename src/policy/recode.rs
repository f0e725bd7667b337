//! Which codings of a stored response there may be beside the origin's, and which of them a
//! viewer gets (RFC 9110 §8.4, §12.5.3; CloudFront: serving compressed files).
//!
//! What may be coded anew is one object for all viewers: the cache keeps what the origin
//! sent, and a layer before it turns that into the coding that each viewer wants. So an
//! origin's `Vary: Accept-Encoding` parts no such objects: whichever coding the origin chose
//! for the first viewer, the edge makes those of the others of it. Viewers and the caches
//! behind us are told `Vary: Accept-Encoding` on every such answer, whatever its coding.
//!
//! The origin's own bytes keep its validators, and ranges are cut from them alone. Bytes that
//! the edge made have a weak entity tag: a strong one "changes value whenever a change occurs
//! to the representation data that would be observable in the content" (RFC 9110 §8.8.1),
//! which a coding is. Parts may only be combined by a strong one (§15.3.7.3).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

use super::{Ask, RequestDirectives, Rules, variant};
use crate::fields::{
    cache_control::Directives,
    encoding::{Coding, Codings},
    etag::EntityTag,
    list, trim,
};

/// The smallest body that is compressed, in bytes: below, it fits into one packet anyway
/// (CloudFront: 1,000 bytes).
pub const BODY_BYTES_MIN: u64 = 1_000;

/// The largest body that is compressed or decoded, in bytes (CloudFront: 10,000,000 bytes).
/// It bounds what one piece of work takes: half a second for brotli.
pub const BODY_BYTES_MAX: u64 = 10_000_000;

/// How many times larger than its coding a body may be. Pages of equal rows reach fifty; a
/// made-up body reaches a thousand with gzip, and more with the others (security case R8).
pub const DECODED_RATIO_MAX: u64 = 100;

/// What a body may decode to whatever its ratio, in bytes: a small one is no danger.
pub const DECODED_BYTES_FREE: u64 = 1 << 20;

/// A coding that saves less than this share of the body, as a divisor, is not worth its
/// memory.
const SAVED_SHARE_MIN: u64 = 16;

/// How a response that may be coded anew came from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recodable {
    /// The coding of its body.
    pub own: Coding,
    /// Whether the origin chose that by Accept-Encoding, as its `Vary` says.
    pub negotiated: bool,
}

/// Why a response stays in the coding that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyAsIs {
    /// `compress = false`.
    Off,
    /// Its status is neither 200 nor 404.
    Status,
    /// `no-transform`.
    NoTransform,
    /// It carries a digest or a signature of its bytes.
    Digest,
    /// It has several codings, or one that we do not know.
    Coding,
    /// Its Content-Type is not one that compresses.
    Type,
    /// Its body is shorter than [`BODY_BYTES_MIN`].
    TooSmall,
    /// Its body is longer than [`BODY_BYTES_MAX`].
    TooLarge,
}

impl WhyAsIs {
    /// The reason, as a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Status => "status",
            Self::NoTransform => "no-transform",
            Self::Digest => "digest",
            Self::Coding => "coding",
            Self::Type => "type",
            Self::TooSmall => "too-small",
            Self::TooLarge => "too-large",
        }
    }

    /// What says so.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Off => "compress = false",
            Self::Status => "only whole answers with status 200 or 404 are compressed",
            Self::NoTransform => {
                "RFC 9110 §7.7, \"A proxy MUST NOT transform the content ... of a response \
                 message that contains a no-transform cache directive\""
            }
            Self::Digest => "RFC 9530, a digest or signature of the answer would no longer hold",
            Self::Coding => "its Content-Encoding is none of br, zstd, gzip, or several",
            Self::Type => "its Content-Type is not one that compresses",
            Self::TooSmall => "shorter than 1,000 bytes",
            Self::TooLarge => "longer than 10,000,000 bytes",
        }
    }
}

/// Types that compress (CloudFront: file types that CloudFront compresses), without those
/// that [`compresses`] knows by their suffix, and with lines of JSON and GraphQL. Sorted.
const TYPES: [&str; 47] = [
    "application/eot",
    "application/font",
    "application/font-sfnt",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/opentype",
    "application/otf",
    "application/pdf",
    "application/pkcs7-mime",
    "application/protobuf",
    "application/truetype",
    "application/ttf",
    "application/vnd.apple.mpegurl",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-opentype",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-httpd-cgi",
    "application/x-javascript",
    "application/x-mpegurl",
    "application/x-ndjson",
    "application/x-opentype",
    "application/x-otf",
    "application/x-perl",
    "application/x-ttf",
    "application/xml",
    "font/eot",
    "font/opentype",
    "font/otf",
    "font/ttf",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/js",
    "text/plain",
    "text/richtext",
    "text/tab-separated-values",
    "text/x-component",
    "text/x-java-source",
    "text/x-script",
    "text/xml",
    "vnd.apple.mpegurl",
];

/// Fields that say what the bytes are, or that sign what does.
const DIGESTS: [HeaderName; 5] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("signature"),
];

/// Whether the edge may make other codings of a response with `status` and `headers`.
///
/// As far as its head tells: whether a body of unknown length is long enough is seen at its
/// end, by [`result_max`].
pub fn recodable(
    rules: &Rules,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Recodable, WhyAsIs> {
    if !rules.compress {
        return Err(WhyAsIs::Off);
    }
    // A part has no coding of its own; it is one of the whole (RFC 9110 §14.4).
    let whole = !headers.contains_key(header::CONTENT_RANGE);
    let known = matches!(status, StatusCode::OK | StatusCode::NOT_FOUND);
    if !known || !whole {
        return Err(WhyAsIs::Status);
    }
    // For every proxy on the way, whatever a targeted field tells us to do as a cache.
    let control = Directives::parse(headers.get_all(header::CACHE_CONTROL));
    if control.no_transform {
        return Err(WhyAsIs::NoTransform);
    }
    if DIGESTS.iter().any(|name| headers.contains_key(name)) {
        return Err(WhyAsIs::Digest);
    }
    let own = own(headers)?;
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
    if own == Coding::Identity && !compresses(headers) {
        return Err(WhyAsIs::Type);
    }
    if let Some(bytes) = length {
        fits(own, bytes)?;
    }
    let negotiated = match variant::names(headers) {
        Ok(names) => names.contains(&header::ACCEPT_ENCODING),
        Err(variant::Star) => true,
    };
    Ok(Recodable { own, negotiated })
}

/// Whether the origin's `Vary: Accept-Encoding` parts responses like this one.
///
/// It does not where the edge makes the codings; nor where the content itself is stored and
/// no coding of it would be much smaller, which answers everybody: there would be eight equal
/// variants otherwise, each fetched for itself.
pub const fn parts(response: Result<Recodable, WhyAsIs>) -> bool {
    !matches!(response, Ok(_) | Err(WhyAsIs::Type | WhyAsIs::TooSmall))
}

/// The one coding of the content.
fn own(headers: &HeaderMap) -> Result<Coding, WhyAsIs> {
    let mut named = list::members(headers.get_all(header::CONTENT_ENCODING));
    match (named.next(), named.next()) {
        (None, _) => Ok(Coding::Identity),
        (Some(name), None) => Coding::parse(name).ok_or(WhyAsIs::Coding),
        (Some(_), Some(_)) => Err(WhyAsIs::Coding),
    }
}

/// Whether content of such a type becomes smaller.
fn compresses(headers: &HeaderMap) -> bool {
    let Some(line) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let kind = line.as_bytes().split(|&byte| byte == b';').next();
    let kind = trim(kind.unwrap_or_default()).to_ascii_lowercase();
    let suffixed = [&b"+json"[..], b"+xml"]
        .iter()
        .any(|end| kind.ends_with(end));
    suffixed
        || TYPES
            .binary_search_by(|one| one.as_bytes().cmp(&kind))
            .is_ok()
}

/// Whether a body of `bytes` in `own` is of a size to be coded anew.
fn fits(own: Coding, bytes: u64) -> Result<(), WhyAsIs> {
    match own {
        _ if bytes > BODY_BYTES_MAX => Err(WhyAsIs::TooLarge),
        Coding::Identity if bytes < BODY_BYTES_MIN => Err(WhyAsIs::TooSmall),
        _ => Ok(()),
    }
}

/// How long a body of `bytes` in `own` may become in another coding; `None` when it is not
/// coded anew at all. No decoded body is longer than `object_max`.
pub fn result_max(own: Coding, bytes: u64, object_max: u64) -> Option<u64> {
    fits(own, bytes).ok()?;
    Some(match own {
        Coding::Identity => bytes - bytes / SAVED_SHARE_MIN,
        _ => (bytes * DECODED_RATIO_MAX)
            .max(DECODED_BYTES_FREE)
            .min(object_max),
    })
}

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
    let asked = ask.headers.contains_key(header::ACCEPT_ENCODING);
    if own == Coding::Identity {
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

    fn of(named: &[(&'static str, &str)]) -> Result<Recodable, WhyAsIs> {
        recodable(&rules(), StatusCode::OK, &fields(named))
    }

    #[track_caller]
    fn check(named: &[(&'static str, &str)], expected: Result<Coding, WhyAsIs>) {
        assert_eq!(of(named).map(|one| one.own), expected, "{named:?}");
    }

    #[test]
    fn types_that_compress_are_those_of_cloudfront_and_their_kin() {
        assert!(TYPES.is_sorted());
        let kind = |text| of(&[("content-type", text)]).is_ok();
        for text in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/html ; charset=x",
            "application/problem+json",
            "application/fhir+json",
            "image/svg+xml",
            "application/rss+xml",
            "text/x-script",
            "font/otf",
        ] {
            assert!(kind(text), "{text}");
        }
        for text in [
            "",
            "image/png",
            "application/octet-stream",
            "font/woff2",
            "json",
            "video/mp4",
        ] {
            assert!(!kind(text), "{text}");
        }
        check(&[], Err(WhyAsIs::Type));
    }

    #[test]
    fn what_must_not_be_touched_is_not() {
        let control = |value| [JSON, ("cache-control", value)];
        check(&control("max-age=60"), Ok(Coding::Identity));
        check(
            &control("max-age=60, no-transform"),
            Err(WhyAsIs::NoTransform),
        );
        check(
            &[JSON, ("content-digest", "sha-256=:x:")],
            Err(WhyAsIs::Digest),
        );
        check(
            &[JSON, ("repr-digest", "sha-256=:x:")],
            Err(WhyAsIs::Digest),
        );
        check(
            &[JSON, ("content-range", "bytes 0-1/2")],
            Err(WhyAsIs::Status),
        );
        let status = |status| recodable(&rules(), status, &fields(&[JSON])).is_ok();
        assert!(status(StatusCode::OK) && status(StatusCode::NOT_FOUND));
        assert!(!status(StatusCode::PARTIAL_CONTENT) && !status(StatusCode::NO_CONTENT));
        let off = Rules {
            compress: false,
            ..rules()
        };
        let seen = recodable(&off, StatusCode::OK, &fields(&[JSON]));
        assert_eq!(seen, Err(WhyAsIs::Off));
    }

    #[test]
    fn only_bodies_worth_it_are_coded() {
        check(&[JSON, ("content-length", "999")], Err(WhyAsIs::TooSmall));
        check(&[JSON, ("content-length", "1000")], Ok(Coding::Identity));
        check(
            &[JSON, ("content-length", "10000000")],
            Ok(Coding::Identity),
        );
        check(
            &[JSON, ("content-length", "10000001")],
            Err(WhyAsIs::TooLarge),
        );
        let max = |own, bytes| result_max(own, bytes, 32 << 20);
        assert_eq!(max(Coding::Identity, 999), None);
        assert_eq!(max(Coding::Identity, 1_600), Some(1_500));
        assert_eq!(max(Coding::Gzip, 100), Some(DECODED_BYTES_FREE));
        assert_eq!(max(Coding::Gzip, 100_000), Some(10_000_000));
        assert_eq!(max(Coding::Gzip, 1_000_000), Some(32 << 20));
    }

    #[test]
    fn an_origins_coding_is_known_or_left_alone() {
        let coded = |name| [("content-type", "image/png"), ("content-encoding", name)];
        check(&coded("gzip"), Ok(Coding::Gzip));
        check(&coded("X-GZIP"), Ok(Coding::Gzip));
        check(&coded("br"), Ok(Coding::Br));
        check(&coded("zstd"), Ok(Coding::Zstd));
        check(&coded("gzip, br"), Err(WhyAsIs::Coding));
        check(&coded("deflate"), Err(WhyAsIs::Coding));
        check(&coded("dcb"), Err(WhyAsIs::Coding));
        let by = |name| of(&[JSON, ("vary", name)]).unwrap().negotiated;
        assert!(by("accept-encoding") && by("Accept, Accept-Encoding") && !by("accept"));
    }

    fn viewer(accepted: Option<&str>) -> Ask {
        let mut ask = ask("/a");
        if let Some(accepted) = accepted {
            ask.headers = fields(&[("accept-encoding", accepted)]);
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
        let best = Wanted::Best(Codings::parse(&["br;q=0.5, gzip".parse().unwrap()]));
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

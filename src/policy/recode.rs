//! Which stored responses there may be in other codings than the origin's (CloudFront: serving
//! compressed files).
//!
//! What may be coded anew is one object for all viewers: the cache keeps what the origin
//! sent, and a layer before it turns that into the coding that each viewer wants
//! (`represent`). So an origin's `Vary: Accept-Encoding` parts no such objects: whichever
//! coding the origin chose for the first viewer, the edge makes those of the others of it.

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{Rules, variant};
use crate::fields::{cache_control::Directives, encoding::Coding, list, trim};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{fields, rules};

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
}

//! The head of a hit as HTTP/1.1 writes it, without a map of its fields on the way.
//!
//! What is written is what [`Report::write`](super::deliver::Report::write) says of the same
//! hit, behind the same stored fields; the order of fields of different names has no meaning
//! (RFC 9110 §5.3).

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    deliver::{self, CacheStatus, Outcome},
    reuse::Standing,
};
use crate::fields::text::Text;

/// A head, and a short body behind it, in one piece as long as they are ordinary ones.
pub type Lines = Text<LINES_BYTES>;

/// Room in bytes: twenty fields, and the longest short body.
const LINES_BYTES: usize = 1024 + SHORT_MAX;

/// The longest body that is written behind its head, in bytes. To copy one of this length takes
/// less than it does the kernel to take a second piece, or a counter to share it.
pub const SHORT_MAX: usize = 2048;

/// How long the content is where the stored fields do not say, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// They say it.
    Stored,
    /// They do not.
    Unsaid(u64),
}

/// Writes the head of a hit that stands like this; `stored` are the lines of its fields, which
/// hold neither `Age`, `X-Cache` nor `X-Request-Id`. False, and nothing to be used of `out`,
/// for a status that has no name or no content.
pub fn hit(
    status: StatusCode,
    stored: &[u8],
    length: Length,
    standing: Standing,
    request_id: &[u8],
    out: &mut Lines,
) -> bool {
    let (true, Some(reason)) = (has_content(status), status.canonical_reason()) else {
        return false;
    };
    if status == StatusCode::OK {
        out.push(b"HTTP/1.1 200 OK\r\n");
    } else {
        for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
            out.push(part.as_bytes());
        }
    }
    out.push(stored);
    if let Length::Unsaid(bytes) = length {
        out.push(b"content-length: ");
        out.push_number(bytes);
        out.push(b"\r\n");
    }
    tail(Outcome::Hit.with_status(status), standing, request_id, out);
    true
}

/// Writes the head of the 304 for a hit that stands like this and has `fields`, of which
/// those are left out that a 304 does not have.
pub fn not_modified<'a>(
    fields: impl Iterator<Item = (Cow<'a, HeaderName>, HeaderValue)>,
    standing: Standing,
    request_id: &[u8],
    out: &mut Lines,
) {
    out.push(b"HTTP/1.1 304 Not Modified\r\n");
    for (name, value) in fields.filter(|(name, _)| deliver::in_not_modified(name)) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.push(part);
        }
    }
    tail(Outcome::Hit, standing, request_id, out);
}

/// Writes what a hit says of itself, and the end of the head.
fn tail(outcome: Outcome, standing: Standing, request_id: &[u8], out: &mut Lines) {
    out.push(b"age: ");
    out.push_number(standing.age.into());
    out.push(b"\r\ncache-status: ");
    // Writing to a text cannot fail.
    let _ = CacheStatus::hit(standing).write(out);
    out.push(b"\r\nx-cache: ");
    out.push(outcome.x_cache().as_bytes());
    out.push(b"\r\nx-request-id: ");
    out.push(request_id);
    out.push(b"\r\n\r\n");
}

/// Whether responses of this status have content that ends where `Content-Length` says
/// (RFC 9110 §8.6).
fn has_content(status: StatusCode) -> bool {
    let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    !status.is_informational() && !without.contains(&status)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::deliver::Report;

    /// The head with these lines, as a map.
    fn map(text: &str) -> HeaderMap {
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        let lines = text
            .split_terminator("\r\n")
            .filter(|line| !line.is_empty());
        let mut map = HeaderMap::new();
        for (name, value) in lines.map(field) {
            map.append(name, value);
        }
        map
    }

    proptest! {
        #[test]
        fn a_hit_is_written_as_it_is_reported(
            code in 200_u16..600,
            age: u32,
            ttl in -9_999_i64..99_999_999,
            tag in "[!-~]{1,9}",
            theirs: bool,
        ) {
            let status = StatusCode::from_u16(code).unwrap();
            let theirs = if theirs { "cache-status: theirs; hit\r\n" } else { "" };
            let stored = format!("content-length: 5\r\nx-tag: {tag}\r\n{theirs}");
            let standing = Standing { age, ttl };
            let mut out = Lines::default();
            if !hit(status, stored.as_bytes(), Length::Stored, standing, b"id", &mut out) {
                let bare = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
                prop_assert!(bare || status.canonical_reason().is_none());
                return Ok(());
            }
            let text = String::from_utf8(out.as_bytes().to_vec()).unwrap();
            let (line, rest) = text.split_once("\r\n").unwrap();
            prop_assert_eq!(line, format!("HTTP/1.1 {status}"));
            let mut reported = map(&stored);
            Report {
                outcome: Outcome::Hit.with_status(status),
                status: CacheStatus::hit(standing),
                age: Some(age),
                request_id: HeaderValue::from_static("id"),
                timing: None,
            }
            .write(&mut reported);
            prop_assert_eq!(map(rest), reported);
            prop_assert!(rest.ends_with("\r\n\r\n"));
        }
    }

    #[test]
    fn a_304_has_what_tells_of_the_content_and_not_the_content() {
        let stored = map("etag: \"1\"\r\ncontent-type: a/b\r\nx-a: 1\r\ncontent-length: 5\r\n");
        let fields = stored.iter();
        let fields = fields.map(|(name, value)| (Cow::Borrowed(name), value.clone()));
        let mut out = Lines::default();
        not_modified(fields, Standing { age: 1, ttl: 2 }, b"id", &mut out);
        let text = String::from_utf8(out.as_bytes().to_vec()).unwrap();
        let wanted = "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\nx-a: 1\r\nage: 1\r\n\
                      cache-status: warmfront; hit; ttl=2\r\nx-cache: Hit from warmfront\r\n\
                      x-request-id: id\r\n\r\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_length_that_is_not_stored_is_said() {
        let standing = Standing { age: 1, ttl: 2 };
        let mut out = Lines::default();
        assert!(hit(
            StatusCode::OK,
            b"",
            Length::Unsaid(1_024),
            standing,
            b"id",
            &mut out
        ));
        let text = String::from_utf8(out.as_bytes().to_vec()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 1024\r\nage: 1\r\n"),
            "{text}"
        );
    }
}

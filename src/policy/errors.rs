//! Errors that a behaviour tells in its own words, or keeps for a while (CloudFront: custom
//! error responses).
//!
//! They count for the origin's errors and for those the edge makes itself. An error stays one:
//! the status may change to another error's, never to a success.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// What becomes of errors with certain statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The statuses; 400 to 599.
    pub when: Vec<StatusCode>,
    /// The status the viewer sees; `None` leaves it.
    pub status: Option<StatusCode>,
    /// The content the viewer sees; `None` leaves it.
    pub content: Option<Content>,
    /// How long an error of the origin that names no lifetime is kept; `None` is `ttl.error`.
    pub ttl: Option<Duration>,
}

/// Content of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub body: Bytes,
    /// Their `Content-Type`.
    pub kind: HeaderValue,
}

/// The longest content of an error, in bytes: a page with its style, and each of the statuses
/// that there are could have one within 13 MiB.
pub const CONTENT_BYTES_MAX: usize = 64 << 10;

/// What `errors` say of an answer with `status`.
pub fn of(errors: &[ErrorAnswer], status: StatusCode) -> Option<&ErrorAnswer> {
    errors.iter().find(|error| error.when.contains(&status))
}

/// Fields that describe content: gone with the content they describe.
const REPRESENTATION: [HeaderName; 13] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::TRAILER,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("repr-digest"),
];

impl Content {
    /// Makes `headers` describe this content.
    pub fn describe(&self, headers: &mut HeaderMap) {
        for name in &REPRESENTATION {
            headers.remove(name);
        }
        headers.insert(header::CONTENT_TYPE, self.kind.clone());
        headers.insert(header::CONTENT_LENGTH, self.body.len().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::fields;

    #[test]
    fn new_content_is_not_described_by_the_old_fields() {
        let content = Content {
            body: Bytes::from_static(b"down"),
            kind: HeaderValue::from_static("text/plain"),
        };
        let mut headers = fields(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("content-length", "99"),
            ("etag", "\"1\""),
            ("retry-after", "5"),
        ]);
        content.describe(&mut headers);
        let expected = [
            ("content-type", "text/plain"),
            ("content-length", "4"),
            ("retry-after", "5"),
        ];
        assert_eq!(headers, fields(&expected));
    }
}

//! Errors that a behaviour tells in its own words, or keeps for a while (CloudFront: custom
//! error responses).
//!
//! They count for the origin's errors and for those the edge makes itself. An error stays one:
//! the status may change to another error's, never to a success.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::failover::{Blame, Failure, Phase};

/// What becomes of errors with certain statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The statuses; 400 to 599.
    pub when: Vec<StatusCode>,
    /// The status the viewer sees; `None` leaves it.
    pub status: Option<StatusCode>,
    /// The content the viewer sees; `None` leaves it.
    pub content: Option<Content>,
    /// How long an error of the origin that names no lifetime is kept, and a failure to
    /// reach the origin ([`kept`]); `None` is `ttl.error` for the one, and not for the other.
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

/// Whether a failure to ask the origin is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is, as long as the error's `ttl` says.
    Yes,
    /// The next who asks tries again.
    No,
}

/// Whether `failure`, which is told with `status`, is kept.
///
/// Only where no request can have provoked it, before one was sent: otherwise whoever knows
/// what makes the origin hang up could take an answer from everybody (CPDoS).
pub fn kept(errors: &[ErrorAnswer], status: StatusCode, failure: &Failure) -> Kept {
    let ttl = of(errors, status).and_then(|error| error.ttl);
    let unprovoked = matches!(failure.blame, Blame::Origin | Blame::Network)
        && matches!(
            failure.phase,
            Phase::Resolve | Phase::Connect | Phase::Tls | Phase::Verify
        );
    if unprovoked && ttl.is_some_and(|ttl| !ttl.is_zero()) {
        Kept::Yes
    } else {
        Kept::No
    }
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
    use crate::policy::{failover::Retry, tests::fields};

    #[test]
    fn a_failure_that_a_request_may_provoke_is_never_kept() {
        let status = StatusCode::BAD_GATEWAY;
        let error = ErrorAnswer {
            when: vec![status],
            status: None,
            content: None,
            ttl: Some(Duration::from_secs(10)),
        };
        let kept_when = |blame, phase| {
            let failure = Failure {
                blame,
                phase,
                timed_out: false,
                retry: Retry::No,
            };
            kept(std::slice::from_ref(&error), status, &failure)
        };
        assert_eq!(kept_when(Blame::Network, Phase::Connect), Kept::Yes);
        assert_eq!(kept_when(Blame::Origin, Phase::Verify), Kept::Yes);
        for phase in [Phase::Send, Phase::Head, Phase::Body] {
            assert_eq!(kept_when(Blame::Network, phase), Kept::No);
            assert_eq!(kept_when(Blame::Origin, phase), Kept::No);
        }
        assert_eq!(kept_when(Blame::Us, Phase::Connect), Kept::No);
    }

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

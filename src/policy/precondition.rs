//! Whether the viewer's own condition holds for a stored response (RFC 9110 §13).

use http::{Method, StatusCode, header};

use super::Ask;
use crate::{
    fields::{date, etag, section::Section},
    time::Timestamp,
};

/// What the viewer's condition makes of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered as it is.
    Whole,
    /// The viewer has it already: 304.
    NotModified,
}

/// The validators of a stored response, as stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// `ETag`.
    pub tag: Option<&'a [u8]>,
    /// `Last-Modified`.
    pub modified: Option<&'a [u8]>,
    /// `Date`.
    pub date: Option<&'a [u8]>,
}

/// Whether `headers` hold a condition that a cache evaluates.
pub fn conditional(headers: &Section) -> bool {
    let mut lines = headers.iter();
    lines.any(|(name, _)| matches!(*name, header::IF_NONE_MATCH | header::IF_MODIFIED_SINCE))
}

/// Evaluates the viewer's condition on a stored 200 (RFC 9111 §4.3.2).
///
/// `If-Match` and `If-Unmodified-Since` "are not applicable to a cache".
pub fn verdict(ask: &Ask, status: StatusCode, stored: Validators<'_>, now: Timestamp) -> Verdict {
    let read = matches!(ask.method, Method::GET | Method::HEAD);
    if status != StatusCode::OK || !read {
        return Verdict::Whole;
    }
    // "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match
    // header field" (RFC 9110 §13.1.3).
    let holds = if ask.headers.has(header::IF_NONE_MATCH) {
        !none_match(ask, stored)
    } else if let Some(since) = ask.headers.sole(header::IF_MODIFIED_SINCE) {
        // Several are no date.
        modified_since(since, stored, now)
    } else {
        true
    };
    if holds {
        Verdict::Whole
    } else {
        Verdict::NotModified
    }
}

/// Whether a tag of `If-None-Match` weakly equals the stored one (RFC 9110 §13.1.2).
fn none_match(ask: &Ask, stored: Validators<'_>) -> bool {
    let own = stored.tag.and_then(etag::EntityTag::parse);
    let condition = etag::Condition::parse(ask.headers.get_all(header::IF_NONE_MATCH));
    condition.is_some_and(|condition| condition.weak_match(own.as_ref()))
}

/// "If the selected representation's last modification date is earlier or equal to the
/// date provided in the field value, the condition is false" (RFC 9110 §13.1.3); without
/// `Last-Modified` the stored `Date` counts (RFC 9111 §4.3.2).
fn modified_since(since: &[u8], stored: Validators<'_>, now: Timestamp) -> bool {
    let Some(since) = date::parse(since, now) else {
        return true;
    };
    let stored = stored.modified.or(stored.date);
    stored
        .and_then(|text| date::parse(text, now))
        .is_none_or(|modified| modified > since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{NOW, ask, fields};

    const NOON: &str = "Sun, 22 Nov 2026 12:00:00 GMT";
    const LATER: &str = "Sun, 22 Nov 2026 12:00:01 GMT";

    #[track_caller]
    fn check(condition: &[(&'static str, &str)], stored: Validators<'_>, expected: Verdict) {
        let mut ask = ask("/a");
        ask.headers = fields(condition).into();
        assert_eq!(
            verdict(&ask, StatusCode::OK, stored, NOW),
            expected,
            "{condition:?}"
        );
    }

    #[test]
    fn a_weakly_equal_tag_is_not_modified() {
        let stored = Validators {
            tag: Some(b"\"1\""),
            ..Validators::default()
        };
        check(&[("if-none-match", "\"1\"")], stored, Verdict::NotModified);
        check(
            &[("if-none-match", "W/\"1\"")],
            stored,
            Verdict::NotModified,
        );
        check(
            &[("if-none-match", "\"0\", \"a,b\", \"1\"")],
            stored,
            Verdict::NotModified,
        );
        check(&[("if-none-match", "*")], stored, Verdict::NotModified);
        check(&[("if-none-match", "\"2\"")], stored, Verdict::Whole);
        check(&[], stored, Verdict::Whole);
    }

    #[test]
    fn a_date_that_is_not_earlier_is_not_modified() {
        let stored = Validators {
            modified: Some(NOON.as_bytes()),
            ..Validators::default()
        };
        check(&[("if-modified-since", NOON)], stored, Verdict::NotModified);
        check(
            &[("if-modified-since", LATER)],
            stored,
            Verdict::NotModified,
        );
        check(
            &[("if-modified-since", "Sun, 22 Nov 2026 11:59:59 GMT")],
            stored,
            Verdict::Whole,
        );
        check(
            &[("if-modified-since", "yesterday")],
            stored,
            Verdict::Whole,
        );
        let dated = Validators {
            date: Some(NOON.as_bytes()),
            ..Validators::default()
        };
        check(&[("if-modified-since", NOON)], dated, Verdict::NotModified);
    }

    #[test]
    fn a_tag_wins_over_a_date() {
        let stored = Validators {
            tag: Some(b"\"1\""),
            modified: Some(NOON.as_bytes()),
            ..Validators::default()
        };
        let both = [("if-none-match", "\"2\""), ("if-modified-since", LATER)];
        check(&both, stored, Verdict::Whole);
    }
}

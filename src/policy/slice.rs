//! Which bytes of a stored response the viewer's Range selects (RFC 9110 §14).

use http::{Method, StatusCode, header};

use super::{Ask, precondition::Validators};
use crate::{
    fields::{
        date,
        etag::EntityTag,
        range::{self, Slices, Unsatisfiable},
    },
    time::Timestamp,
};

/// What of a response is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// All of it.
    Whole,
    /// One part: its first byte, and the one after its last.
    One(u64, u64),
    /// Several parts, in ascending order and apart from each other.
    Many(Slices),
    /// None: 416 (RFC 9110 §15.5.17).
    Unsatisfiable,
}

/// Decides what of a stored response with `status` and `length` bytes answers `ask`.
///
/// "A server MAY ignore the Range header field" (RFC 9110 §14.2); it is ignored where the
/// parts overlap or do not ascend, as CloudFront does, since such requests are "either
/// poorly written or attempts at denial of service".
pub fn slice(
    ask: &Ask,
    status: StatusCode,
    stored: Validators<'_>,
    length: u64,
    now: Timestamp,
) -> Slice {
    let Some(line) = ask.headers.sole(header::RANGE) else {
        return Slice::Whole;
    };
    // "A server MUST ignore a Range header field received with a request method that is
    // unrecognized or for which range handling is not defined. For this specification, GET
    // is the only method".
    if ask.method != Method::GET || status != StatusCode::OK || !unchanged(ask, stored, now) {
        return Slice::Whole;
    }
    let Some(ranges) = range::parse(line) else {
        return Slice::Whole;
    };
    match ranges.resolve(length) {
        Err(Unsatisfiable) => Slice::Unsatisfiable,
        Ok(parts) => match parts.as_slice() {
            [] => Slice::Whole,
            [(first, end)] => Slice::One(*first, *end),
            many if many.windows(2).all(|pair| pair[0].1 <= pair[1].0) => Slice::Many(parts),
            _ => Slice::Whole,
        },
    }
}

/// Whether `If-Range`, if there is one, names exactly what is stored (RFC 9110 §13.1.5).
fn unchanged(ask: &Ask, stored: Validators<'_>, now: Timestamp) -> bool {
    if !ask.headers.has(header::IF_RANGE) {
        return true;
    }
    let Some(condition) = ask.headers.sole(header::IF_RANGE) else {
        return false;
    };
    if let Some(tag) = EntityTag::parse(condition) {
        let own = stored.tag.and_then(EntityTag::parse);
        return own.is_some_and(|own| own.strong_eq(&tag));
    }
    // "If the HTTP-date validator provided is not a strong validator in the sense defined by
    // Section 8.8.2.2, the condition is false. ... exactly matches the Last-Modified field
    // value". A date is strong when it lies at least a second before the response's own.
    let read = |text| date::parse(text, now);
    let (Some(asked), Some(modified)) = (read(condition), stored.modified.and_then(read)) else {
        return false;
    };
    let made = stored.date.and_then(read);
    asked == modified && made.is_some_and(|made| made > modified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{NOW, ask, fields};

    const STORED: Validators<'static> = Validators {
        tag: Some(b"\"1\""),
        modified: Some(b"Sun, 22 Nov 2026 11:00:00 GMT"),
        date: Some(b"Sun, 22 Nov 2026 12:00:00 GMT"),
    };

    fn of(stored: Validators<'_>, named: &[(&'static str, &str)]) -> Slice {
        let mut ask = ask("/a");
        ask.headers = fields(named).into();
        slice(&ask, StatusCode::OK, stored, 10, NOW)
    }

    #[track_caller]
    fn check(range: &str, expected: Slice) {
        assert_eq!(of(STORED, &[("range", range)]), expected, "{range}");
    }

    #[test]
    fn one_range_is_one_part() {
        check("bytes=0-1", Slice::One(0, 2));
        check("bytes=5-", Slice::One(5, 10));
        check("bytes=-3", Slice::One(7, 10));
        check("bytes=8-99", Slice::One(8, 10));
        check("bytes=0-0,99-", Slice::One(0, 1));
    }

    #[test]
    fn several_ranges_are_parts_only_when_ascending_and_apart() {
        check(
            "bytes=0-1,5-6",
            Slice::Many(Slices::from_slice(&[(0, 2), (5, 7)])),
        );
        check("bytes=5-6,0-1", Slice::Whole);
        check("bytes=0-5,5-6", Slice::Whole);
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        check("bytes=", Slice::Whole);
        check("lines=0-1", Slice::Whole);
        check("bytes=5-4", Slice::Whole);
        assert_eq!(of(STORED, &[]), Slice::Whole);
        assert_eq!(
            of(STORED, &[("range", "bytes=0-1"), ("range", "bytes=2-3")]),
            Slice::Whole
        );
        let mut head = ask("/a");
        head.method = Method::HEAD;
        head.headers = fields(&[("range", "bytes=0-1")]).into();
        assert_eq!(slice(&head, StatusCode::OK, STORED, 10, NOW), Slice::Whole);
    }

    #[test]
    fn what_lies_behind_the_end_is_unsatisfiable() {
        check("bytes=10-", Slice::Unsatisfiable);
        check("bytes=-0", Slice::Unsatisfiable);
    }

    #[test]
    fn a_condition_must_name_exactly_what_is_stored() {
        let with = |condition| of(STORED, &[("range", "bytes=0-1"), ("if-range", condition)]);
        assert_eq!(with("\"1\""), Slice::One(0, 2));
        assert_eq!(with("W/\"1\""), Slice::Whole);
        assert_eq!(with("\"2\""), Slice::Whole);
        assert_eq!(with("Sun, 22 Nov 2026 11:00:00 GMT"), Slice::One(0, 2));
        assert_eq!(with("Sun, 22 Nov 2026 11:30:00 GMT"), Slice::Whole);
        let weak = Validators {
            date: STORED.modified,
            ..STORED
        };
        let date = "Sun, 22 Nov 2026 11:00:00 GMT";
        assert_eq!(
            of(weak, &[("range", "bytes=0-1"), ("if-range", date)]),
            Slice::Whole
        );
    }
}

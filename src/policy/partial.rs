//! Incomplete responses: what of a 206 is kept, what it answers, and how it is made
//! complete (RFC 9111 §3.3, §3.4).
//!
//! A part is a stored response with the status 206 and its own `Content-Range`. It lives
//! under a key of its own, [`key`], so that nobody who looks for a whole answer ever
//! finds one: "A cache MUST NOT use an incomplete response to answer requests unless the
//! response has been made complete, or the request is partial and specifies a range
//! wholly within the incomplete response" (§3.3).

use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::{
    Ask, Key, Meta, Rules, WhyNot,
    precondition::{self, Validators},
    settle::{self, Times},
    slice::{self, Slice},
    validate,
};
use crate::{
    fields::{
        etag::EntityTag,
        range::{self, ContentRange},
    },
    time::Timestamp,
};

/// Which bytes of a representation a part holds: one run of them, never all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The position of its first byte.
    first: u64,
    /// The position after its last byte.
    end: u64,
    /// The length of the whole.
    complete: u64,
}

/// What is kept of the answer to a request for a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is remembered of it; its status is 206 where it is a part.
    pub meta: Meta,
    /// Its fields, as those of what is kept.
    pub headers: HeaderMap,
    /// How many bytes its body must have; `None` where its framing alone says so.
    pub bytes: Option<u64>,
}

/// Whether `ask` wants a range.
pub fn wanted(ask: &Ask) -> bool {
    ask.method == Method::GET && ask.headers.has(header::RANGE)
}

/// Where a part of the answer to `ask` is kept.
pub fn key(ask: &Ask, rules: &Rules) -> Key {
    /// Any number but 0.
    const INCOMPLETE: u128 = 0x696e_636f_6d70_6c65_7465_2121_2121_2121;
    rules.key.key(ask).among(INCOMPLETE)
}

impl Part {
    /// The part that a 206 with `headers` carries. `None` when it does not say: its parts
    /// are several, its `Content-Range` is none, or nobody knows how long the whole is.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers).filter(|part| !part.is_whole())
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let ContentRange {
            first,
            last,
            complete,
        } = range::content_range(sole(headers, &header::CONTENT_RANGE)?.as_bytes())?;
        let (end, complete) = (last.checked_add(1)?, complete?);
        Some(Self {
            first,
            end,
            complete,
        })
    }

    /// How many bytes it has.
    pub const fn bytes(self) -> u64 {
        self.end - self.first
    }

    /// How many bytes the whole has.
    pub const fn complete(self) -> u64 {
        self.complete
    }

    const fn is_whole(self) -> bool {
        self.first == 0 && self.end == self.complete
    }

    /// Which of its own bytes answer `ask`, and the `Content-Range` that says so: a single
    /// range wholly within it, asked for without a condition that only the whole could
    /// answer. `stored` are its validators.
    pub fn slice(
        self,
        ask: &Ask,
        stored: Validators<'_>,
        now: Timestamp,
    ) -> Option<(Range<usize>, HeaderValue)> {
        if precondition::conditional(&ask.headers) {
            return None;
        }
        // "a 206 (Partial Content) response MAY be stored as if it were an incomplete 200
        // (OK) response" (RFC 9111 §3.3).
        let slice = slice::slice(ask, StatusCode::OK, stored, self.complete, now);
        let Slice::One(first, end) = slice else {
            return None;
        };
        if first < self.first || self.end < end {
            return None;
        }
        let own = (first - self.first) as usize..(end - self.first) as usize;
        let place = ContentRange {
            first,
            last: end - 1,
            complete: Some(self.complete),
        };
        Some((own, HeaderValue::from_str(&place.to_string()).ok()?))
    }
}

/// Decides what of the answer with `status` and `headers`, its end-to-end fields, is kept
/// when `ask` wanted a range: a part, or the whole where that is what came.
pub fn kept(
    ask: &Ask,
    rules: &Rules,
    (status, headers): (StatusCode, &HeaderMap),
    times: Times,
) -> Result<Kept, WhyNot> {
    let meta = |headers| settle::meta(ask, rules, StatusCode::OK, headers, times);
    match status {
        StatusCode::OK => {
            return Ok(Kept {
                meta: meta(headers)?,
                headers: headers.clone(),
                bytes: None,
            });
        }
        // "If a 206 is generated in response to a request with an If-Range header field,
        // the sender SHOULD NOT generate other representation header fields beyond those
        // required" (RFC 9110 §15.3.7): nobody else could use it.
        StatusCode::PARTIAL_CONTENT if !ask.headers.has(header::IF_RANGE) => {}
        _ => return Err(WhyNot::Partial),
    }
    let part = Part::read(headers).ok_or(WhyNot::Partial)?;
    let bytes = Some(part.bytes());
    if part.is_whole() {
        // "If the union consists of the entire range of the representation, then the client
        // MUST process the combined response as if it were a complete 200 (OK) response"
        // (RFC 9110 §15.3.7.3).
        let headers = as_whole(headers.clone(), part.complete);
        let meta = meta(&headers)?;
        return Ok(Kept {
            meta,
            headers,
            bytes,
        });
    }
    let mut meta = meta(headers)?;
    meta.status = StatusCode::PARTIAL_CONTENT;
    Ok(Kept {
        meta,
        headers: headers.clone(),
        bytes,
    })
}

/// The fields that ask for what the part with `stored` lacks of its end; `None` where
/// that could not make it complete.
///
/// A part with a strong validator is asked to be completed by it. One with none of any
/// kind, while it is `fresh`, by its range alone: an origin that answers with the whole
/// has answered, and after a 206 the whole is asked for. Where the only validators are
/// weak, a 206 is certain not to be combined, and nothing is tried.
pub fn rest(stored: &HeaderMap, fresh: bool) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let part = Part::of(stored).filter(|part| part.first == 0)?;
    let range = HeaderValue::from_str(&format!("bytes={}-", part.end)).ok()?;
    let mut fields = vec![(header::RANGE, range)];
    let unvalidated =
        !stored.contains_key(header::ETAG) && !stored.contains_key(header::LAST_MODIFIED);
    match strong(stored) {
        // "A client MUST NOT generate an If-Range header field containing an entity tag
        // that is marked as weak" (RFC 9110 §13.1.5).
        Some(tag) => fields.push((header::IF_RANGE, tag.clone())),
        None if unvalidated && fresh => {}
        None => return None,
    }
    Some(fields)
}

/// The fields of the whole that the part with `stored` and the 206 with `fresh` make
/// together; `None` where they are not the beginning and the end of one representation.
///
/// "A cache MAY combine these ranges into a single stored response, and reuse that
/// response to satisfy later requests, if they all share the same strong validator"
/// (RFC 9111 §3.4). Dates are not taken for strong: two writes in one second share one.
pub fn combined(stored: &HeaderMap, fresh: &HeaderMap) -> Option<HeaderMap> {
    let (start, rest) = (Part::of(stored)?, Part::of(fresh)?);
    let meets = start.first == 0 && rest.first == start.end && rest.end == rest.complete;
    if !meets || start.complete != rest.complete || strong(stored)? != strong(fresh)? {
        return None;
    }
    // One tag for two encodings is an origin's mistake that would be ours to deliver.
    let encoding = |headers: &HeaderMap| headers.get(header::CONTENT_ENCODING).cloned();
    if encoding(fresh).is_some() && encoding(fresh) != encoding(stored) {
        return None;
    }
    // "a cache MUST update the stored response header fields using the header fields
    // provided in the new response, as per Section 3.2."
    let merged = validate::merged(stored, fresh);
    Some(as_whole(merged, start.complete))
}

/// Whether the answer with `status` and `fresh` shows that the part with `stored` is no
/// longer what the origin has.
pub fn outdated(stored: &HeaderMap, status: StatusCode, fresh: &HeaderMap) -> bool {
    match status {
        StatusCode::PARTIAL_CONTENT => {
            strong(stored).is_none_or(|tag| strong(fresh).is_some_and(|new| new != tag))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => true,
        other => other.is_success(),
    }
}

/// The fields of a 206 as those of the whole: "including a Content-Length header field that
/// reflects the complete length" (RFC 9110 §15.3.7.3).
fn as_whole(mut headers: HeaderMap, complete: u64) -> HeaderMap {
    headers.remove(header::CONTENT_RANGE);
    headers.insert(header::CONTENT_LENGTH, complete.into());
    headers
}

/// The strong entity tag, if there is just one and it is one.
fn strong(headers: &HeaderMap) -> Option<&HeaderValue> {
    let line = sole(headers, &header::ETAG)?;
    EntityTag::parse(line.as_bytes())
        .is_some_and(|tag| !tag.weak)
        .then_some(line)
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{
        marks::Sequence,
        tests::{NOW, ask, fields, rules},
    };

    const TIMES: Times = Times {
        asked: NOW,
        received: NOW,
        born: Sequence(0),
    };

    fn place(range: &str) -> HeaderMap {
        fields(&[
            ("content-range", range),
            ("etag", "\"1\""),
            ("cache-control", "max-age=60"),
        ])
    }

    fn with(mut headers: HeaderMap, name: HeaderName, value: &'static str) -> HeaderMap {
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    fn ranged(range: &str) -> Ask {
        let mut ask = ask("/a");
        ask.headers = fields(&[("range", range)]).into();
        ask
    }

    #[test]
    fn a_range_is_answered_only_from_the_part_that_holds_all_of_it() {
        let part = Part::of(&place("bytes 2-5/10")).unwrap();
        #[track_caller]
        fn check(part: Part, range: &str, wanted: Option<(Range<usize>, &str)>) {
            let seen = part.slice(&ranged(range), Validators::default(), NOW);
            let seen = seen.as_ref().map(|(own, place)| (own.clone(), place));
            let wanted = wanted.map(|(own, place)| (own, HeaderValue::from_str(place).unwrap()));
            assert_eq!(
                seen,
                wanted.as_ref().map(|(own, place)| (own.clone(), place))
            );
        }
        check(part, "bytes=2-5", Some((0..4, "bytes 2-5/10")));
        check(part, "bytes=3-4", Some((1..3, "bytes 3-4/10")));
        for outside in [
            "bytes=1-5",
            "bytes=2-6",
            "bytes=0-9",
            "bytes=5-",
            "bytes=-1",
            "bytes=10-",
            "bytes=2-2,4-4",
            "items=2-3",
            "bytes=x",
        ] {
            check(part, outside, None);
        }
        let end = Part::of(&place("bytes 5-9/10")).unwrap();
        check(end, "bytes=6-", Some((1..5, "bytes 6-9/10")));
        check(end, "bytes=-2", Some((3..5, "bytes 8-9/10")));
        check(end, "bytes=7-100", Some((2..5, "bytes 7-9/10")));
        check(end, "bytes=-6", None);
    }

    #[test]
    fn a_condition_is_not_for_a_part_but_if_range_is() {
        let part = Part::of(&place("bytes 2-5/10")).unwrap();
        let stored = Validators {
            tag: Some(b"\"1\""),
            ..Validators::default()
        };
        let answers = |name: &'static str, value: &str| {
            let mut ask = ranged("bytes=2-3");
            ask.headers.extend(fields(&[(name, value)]));
            part.slice(&ask, stored, NOW).is_some()
        };
        assert!(answers("if-range", "\"1\"") && !answers("if-range", "\"2\""));
        assert!(!answers("if-none-match", "\"1\"") && !answers("if-modified-since", "x"));
        let mut head = ranged("bytes=2-3");
        head.method = Method::HEAD;
        assert_eq!(part.slice(&head, stored, NOW), None);
    }

    #[test]
    fn only_a_part_that_tells_its_place_is_kept() {
        let of = |headers: &HeaderMap, ask: &Ask| {
            let status = StatusCode::PARTIAL_CONTENT;
            kept(ask, &rules(), (status, headers), TIMES)
        };
        let ask = ranged("bytes=2-5");
        let part = of(&place("bytes 2-5/10"), &ask).unwrap();
        assert_eq!(part.meta.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes, Some(4));
        for nowhere in ["bytes 2-5/*", "bytes */10", "2-5/10", "bytes 5-2/10"] {
            assert_eq!(of(&place(nowhere), &ask), Err(WhyNot::Partial), "{nowhere}");
        }
        let mut two = place("bytes 2-5/10");
        two.append("content-range", HeaderValue::from_static("bytes 2-5/10"));
        assert_eq!(of(&two, &ask), Err(WhyNot::Partial));
        let private = with(place("bytes 2-5/10"), header::CACHE_CONTROL, "private");
        assert_eq!(of(&private, &ask), Err(WhyNot::Private));
        let mut conditional = ask.clone();
        conditional.headers.extend(fields(&[("if-range", "\"1\"")]));
        assert_eq!(
            of(&place("bytes 2-5/10"), &conditional),
            Err(WhyNot::Partial)
        );
    }

    #[test]
    fn a_206_with_every_byte_is_kept_as_the_whole() {
        let headers = place("bytes 0-9/10");
        let whole = kept(
            &ranged("bytes=0-"),
            &rules(),
            (StatusCode::PARTIAL_CONTENT, &headers),
            TIMES,
        )
        .unwrap();
        assert_eq!((whole.meta.status, whole.bytes), (StatusCode::OK, Some(10)));
        assert_eq!(whole.headers["content-length"], "10");
        assert!(!whole.headers.contains_key("content-range") && Part::of(&headers).is_none());
    }

    #[test]
    fn the_rest_is_asked_for_by_the_strong_validator() {
        let asked = |headers: &HeaderMap, fresh| {
            let fields = rest(headers, fresh)?;
            let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
            let mut values = fields.iter().map(|(_, value)| text(value));
            Some((values.next()?, values.next()))
        };
        let start = place("bytes 0-4/10");
        let both = Some(("bytes=5-".to_owned(), Some("\"1\"".to_owned())));
        assert_eq!(asked(&start, false), both);
        assert_eq!(asked(&place("bytes 1-4/10"), true), None);
        assert_eq!(
            asked(&with(start.clone(), header::ETAG, "W/\"1\""), true),
            None
        );
        let dated = with(start.clone(), header::LAST_MODIFIED, "x");
        assert_eq!(asked(&dated, true), both);
        let mut bare = start;
        bare.remove("etag");
        assert_eq!(asked(&bare, true), Some(("bytes=5-".to_owned(), None)));
        assert_eq!(asked(&bare, false), None);
        let dated = with(bare, header::LAST_MODIFIED, "x");
        assert_eq!(asked(&dated, true), None);
    }

    #[test]
    fn parts_combine_only_by_one_strong_validator_and_where_they_meet() {
        let start = place("bytes 0-4/10");
        let fits = |fresh: HeaderMap| combined(&start, &fresh).is_some();
        assert!(fits(place("bytes 5-9/10")));
        for apart in [
            "bytes 6-9/10",
            "bytes 4-9/10",
            "bytes 5-8/10",
            "bytes 5-9/11",
            "bytes 5-9/*",
        ] {
            assert!(!fits(place(apart)), "{apart}");
        }
        let end = || place("bytes 5-9/10");
        for tag in ["\"2\"", "W/\"1\""] {
            assert!(!fits(with(end(), header::ETAG, tag)), "{tag}");
        }
        assert!(!fits(with(end(), header::CONTENT_ENCODING, "br")));
        let mut untagged = end();
        untagged.remove("etag");
        assert!(!fits(untagged.clone()));
        let mut bare = start.clone();
        bare.remove("etag");
        assert_eq!(combined(&bare, &untagged), None);
    }

    #[test]
    fn the_combined_response_has_the_newer_fields_and_the_complete_length() {
        let start = with(place("bytes 0-4/10"), header::CONTENT_TYPE, "text/plain");
        let end = with(place("bytes 5-9/10"), header::CACHE_CONTROL, "max-age=9");
        let whole = combined(&start, &end).unwrap();
        assert_eq!(whole["cache-control"], "max-age=9");
        assert_eq!(
            (&whole["content-type"], &whole["content-length"]),
            (&start["content-type"], &"10".parse().unwrap())
        );
        assert!(!whole.contains_key("content-range"));
    }

    #[test]
    fn another_representation_outdates_a_part() {
        let stored = place("bytes 0-4/10");
        let by = |status: u16, fresh: &HeaderMap| {
            outdated(&stored, StatusCode::from_u16(status).unwrap(), fresh)
        };
        let none = HeaderMap::new();
        assert!(by(200, &none) && by(404, &none) && by(410, &none));
        assert!(!by(304, &none) && !by(416, &none) && !by(503, &none) && !by(401, &none));
        assert!(by(206, &with(none.clone(), header::ETAG, "\"2\"")));
        assert!(!by(206, &stored) && !by(206, &none));
    }

    proptest! {
        #[test]
        fn slices_of_a_part_are_the_bytes_of_the_whole(
            body in prop::collection::vec(any::<u8>(), 2..64),
            (from, to) in (0_usize..64, 0_usize..64),
            range in "bytes=([0-9]{1,2})?-([0-9]{1,2})?",
        ) {
            let last = to.min(body.len() - 1);
            let first = from.min(last);
            let headers = place(&format!("bytes {first}-{last}/{}", body.len()));
            let Some(part) = Part::of(&headers) else {
                prop_assert!(first == 0 && last == body.len() - 1);
                return Ok(());
            };
            let own = &body[first..=last];
            if let Some((slice, place)) = part.slice(&ranged(&range), Validators::default(), NOW) {
                let ContentRange { first, last, complete } = range::content_range(place.as_bytes()).unwrap();
                prop_assert_eq!(complete, Some(body.len() as u64));
                prop_assert_eq!(&own[slice], &body[first as usize..=last as usize]);
            }
        }
    }
}

//! What a viewer sees of an answer: which fields are kept, and how we say what happened
//! (RFC 9111 §5.1, RFC 9211).

use std::{cell::RefCell, fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use smallvec::SmallVec;

use super::{
    Key, Rules, WhyNot, control::Control, recode::Recodable, represent, reuse::Standing, storable,
};
use crate::{
    fields::{date, forwarded, hop, section::Section, tags, text::Text},
    time::Timestamp,
};

/// `Cache-Status` (RFC 9211).
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// `X-Cache`, CloudFront's way to say the same.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// `Server-Timing`, where an answer's time went.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// `X-Request-Id`, made or passed on.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How many fields an answer gains at most: `Age`, `Cache-Status`, `X-Cache`,
/// `X-Request-Id`, and one that HTTP itself adds.
pub const ADDED_FIELDS_MAX: usize = 5;

/// What happened, in `X-Cache`'s words (CloudFront: result types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store answered, fresh or stale.
    Hit,
    /// The store answered after the origin had confirmed it.
    RefreshHit,
    /// The origin answered.
    Miss,
    /// The answer is an error, the origin's or ours.
    Error,
    /// We sent the viewer elsewhere.
    Redirect,
}

impl Outcome {
    /// The value of `X-Cache`.
    pub const fn x_cache(self) -> &'static str {
        match self {
            Self::Hit => "Hit from warmfront",
            Self::RefreshHit => "RefreshHit from warmfront",
            Self::Miss => "Miss from warmfront",
            Self::Error => "Error from warmfront",
            Self::Redirect => "Redirect from warmfront",
        }
    }

    /// The same, or `Error` where the status is one, as CloudFront counts.
    pub fn with_status(self, status: StatusCode) -> Self {
        if status.is_client_error() || status.is_server_error() {
            Self::Error
        } else {
            self
        }
    }
}

/// What `Cache-Status` says of one answer (RFC 9211 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the origin was asked; `None` means a hit, or an answer of our own.
    pub fwd: Option<&'static str>,
    /// Whether the store answered without the origin.
    pub hit: bool,
    /// The status the origin answered with.
    pub fwd_status: Option<StatusCode>,
    /// What is left of the lifetime, in seconds; negative when stale.
    pub ttl: Option<i64>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Whether another request's fetch answered this one too.
    pub collapsed: bool,
    /// Our reason, as a token.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// A hit that stands like this.
    pub fn hit(standing: Standing) -> Self {
        Self {
            hit: true,
            ttl: Some(standing.ttl),
            ..Self::default()
        }
    }

    /// An answer that came from the origin because of `fwd`.
    pub fn forwarded(fwd: &'static str, status: StatusCode) -> Self {
        Self {
            fwd: Some(fwd),
            fwd_status: Some(status),
            ..Self::default()
        }
    }

    /// An answer that was not stored, and why.
    pub fn unstored(self, why: WhyNot) -> Self {
        Self {
            detail: Some(why.as_str()),
            ..self
        }
    }

    /// The field's value.
    pub fn value(&self) -> HeaderValue {
        thread_local! {
            /// The last one without a lifetime: what is passed on says the same again and again.
            static LAST: RefCell<Option<(CacheStatus, HeaderValue)>> = const { RefCell::new(None) };
        }
        if self.ttl.is_some() {
            return self.made();
        }
        LAST.with_borrow_mut(|last| match last {
            Some((status, value)) if status == self => value.clone(),
            last => last.insert((*self, self.made())).1.clone(),
        })
    }

    fn made(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.line().as_bytes())
            .unwrap_or_else(|_| HeaderValue::from_static(forwarded::PSEUDONYM))
    }

    /// The same, as text.
    pub(super) fn line(&self) -> Line {
        let mut text = Line::default();
        // Writing to a `Line` cannot fail.
        let _ = self.write(&mut text);
        text
    }

    pub(super) fn write<const N: usize>(&self, out: &mut Text<N>) -> std::fmt::Result {
        out.write_str(forwarded::PSEUDONYM)?;
        if self.hit {
            out.write_str("; hit")?;
        }
        if let Some(fwd) = self.fwd {
            out.write_str("; fwd=")?;
            out.write_str(fwd)?;
        }
        if let Some(status) = self.fwd_status {
            out.write_str("; fwd-status=")?;
            out.write_str(status.as_str())?;
        }
        if self.stored {
            out.write_str("; stored")?;
        }
        if self.collapsed {
            out.write_str("; collapsed")?;
        }
        if let Some(ttl) = self.ttl {
            out.write_str(if ttl < 0 { "; ttl=-" } else { "; ttl=" })?;
            out.push_number(ttl.unsigned_abs());
        }
        if let Some(detail) = self.detail {
            out.write_str("; detail=")?;
            out.write_str(detail)?;
        }
        Ok(())
    }
}

/// A field value built on the stack.
pub(super) type Line = Text<128>;

/// What one answer says about itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// `X-Cache`.
    pub outcome: Outcome,
    /// `Cache-Status`.
    pub status: CacheStatus,
    /// `Age`, where the store had a part in it.
    pub age: Option<u32>,
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
    /// `Server-Timing`, where the behaviour has it.
    pub timing: Option<Timing>,
}

/// `Server-Timing` (Server Timing §3), with CloudFront's metric names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the request had been waiting when its answer was at hand.
    pub waited: Duration,
}

impl Timing {
    /// Writes the field; the origin's own goes on only with an answer that is its own, as at
    /// CloudFront: it stays on a miss and goes on a hit.
    fn write(self, status: &CacheStatus, headers: &mut HeaderMap) {
        if status.hit {
            headers.insert(SERVER_TIMING, HeaderValue::from_static("cdn-cache-hit"));
            return;
        }
        if status.fwd.is_none() {
            // Nobody was asked, and nothing was looked up.
            return;
        }
        let what = match status.fwd_status {
            _ if status.collapsed => "cdn-cache-hit",
            Some(StatusCode::NOT_MODIFIED) => "cdn-cache-refresh",
            Some(_) | None => "cdn-cache-miss",
        };
        let waited = self.waited.as_millis();
        let mut text = Line::default();
        // Writing to a `Line` cannot fail.
        let _ = write!(text, "{what}, cdn-upstream-fbl;dur={waited}");
        let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else {
            return;
        };
        if what == "cdn-cache-miss" {
            headers.append(SERVER_TIMING, value);
        } else {
            headers.insert(SERVER_TIMING, value);
        }
    }
}

impl Report {
    /// Writes the fields into `headers`, over what the origin said under these names; an
    /// origin-side cache's `Cache-Status` stays before ours (RFC 9211 §2).
    pub fn write(self, headers: &mut HeaderMap) {
        if let Some(age) = self.age {
            headers.insert(header::AGE, number(age));
        }
        if let Some(timing) = self.timing {
            timing.write(&self.status, headers);
        }
        headers.append(CACHE_STATUS, self.status.value());
        headers.insert(X_CACHE, HeaderValue::from_static(self.outcome.x_cache()));
        // "an encoder might choose not to index values" (RFC 7541 §7.1.3): one that never comes
        // again would only push others out of a viewer's table.
        let mut request_id = self.request_id;
        request_id.set_sensitive(true);
        headers.insert(X_REQUEST_ID, request_id);
    }
}

/// Adds `key` to what the last `Cache-Status` says, which is ours (RFC 9211 §2.8: "key").
///
/// For authorised requests only: it tells strangers what they share an answer with
/// (RFC 9211 §6).
pub fn tell_key(headers: &mut HeaderMap, key: Key) {
    let mut lines: SmallVec<[HeaderValue; 2]> =
        headers.get_all(CACHE_STATUS).iter().cloned().collect();
    let Some(ours) = lines.last_mut() else { return };
    let mut text = ours.as_bytes().to_vec();
    text.extend_from_slice(format!("; key=\"{key}\"").as_bytes());
    let Ok(told) = HeaderValue::from_bytes(&text) else {
        return;
    };
    *ours = told;
    headers.remove(CACHE_STATUS);
    for line in lines {
        headers.append(CACHE_STATUS, line);
    }
}

/// A number as a field value, with one allocation.
fn number(number: u32) -> HeaderValue {
    let mut text = Line::default();
    text.push_number(number.into());
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// The fields of an origin's response that go on: end-to-end ones, with ours in `Via`.
///
/// `Trailer` goes on too: it announces the trailer section of a message, which is not
/// among the fields that "need to be removed" (RFC 9110 §7.6.1).
pub fn end_to_end(mut headers: HeaderMap, version: http::Version) -> HeaderMap {
    // Most have nothing of it; looking at each name costs less than a search for each field.
    let goes = |name| hop::is_hop_by_hop(name) || *name == X_CACHE;
    if headers.keys().any(goes) {
        headers.remove(X_CACHE);
        let trailer = headers.get(header::TRAILER).cloned();
        hop::strip(&mut headers, &[]);
        headers.extend(trailer.map(|trailer| (header::TRAILER, trailer)));
    }
    let via = forwarded::via(headers.get_all(header::VIA), version);
    headers.insert(header::VIA, via);
    headers
}

/// The fields of an interim response as the viewer sees them: those that end at this hop are
/// gone, and those that would frame content it cannot have.
///
/// "A server MUST NOT send a Content-Length header field in any response with a status code
/// of 1xx (Informational) or 204 (No Content)" (RFC 9110 §8.6).
pub fn interim(headers: &HeaderMap) -> HeaderMap {
    // Origins send them over HTTP/1.1, or we do not see them.
    let mut headers = end_to_end(headers.clone(), http::Version::HTTP_11);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRAILER);
    tags::strip(&mut headers);
    headers
}

/// The fields that [`as_stored`] keeps out of the store though the origin meant them for
/// the viewer whose request brought the response.
pub fn kept_back(headers: &HeaderMap, rules: &Rules) -> HeaderMap {
    let directives = Control::of(headers, rules).directives;
    let mut kept_back = HeaderMap::new();
    for name in storable::withheld(&directives) {
        for value in headers.get_all(name) {
            kept_back.append(name, value.clone());
        }
    }
    tags::strip(&mut kept_back);
    kept_back
}

/// The fields of a response as they are stored: without what a qualified directive keeps
/// out, without its age, which is counted on, without its tags, and with a `Date`; with `Vary`
/// where there may be other codings of it.
///
/// "A recipient with a clock that receives a response message without a Date header field
/// MUST record the time it was received and append a corresponding Date header field to the
/// message's header section if it is cached or forwarded downstream" (RFC 9110 §6.6.1).
pub fn as_stored(
    headers: &HeaderMap,
    rules: &Rules,
    received: Timestamp,
    recodable: Option<Recodable>,
) -> HeaderMap {
    let directives = Control::of(headers, rules).directives;
    let mut stored = headers.clone();
    for name in storable::withheld(&directives) {
        stored.remove(name);
    }
    stored.remove(header::AGE);
    // Each answer has one of its own.
    stored.remove(X_REQUEST_ID);
    // Trailers are not stored (RFC 9110 §6.5.1).
    stored.remove(header::TRAILER);
    tags::strip(&mut stored);
    stored.entry(header::DATE).or_insert_with(|| {
        HeaderValue::from_bytes(&date::format(received))
            .unwrap_or_else(|_| HeaderValue::from_static("0"))
    });
    if recodable.is_some() {
        represent::vary(&mut stored);
    }
    stored
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5).
pub fn in_not_modified(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CACHE_CONTROL
            | header::CONTENT_LOCATION
            | header::DATE
            | header::ETAG
            | header::EXPIRES
            | header::LAST_MODIFIED
            | header::SET_COOKIE
            | header::VARY
            | header::VIA
    ) || !matches!(*name, header::CONTENT_LENGTH | header::CONTENT_RANGE)
        && !name.as_str().starts_with("content-")
}

/// The longest request id that is passed on, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The viewer's own request id, where it is one that logs can hold.
pub fn request_id(headers: &Section) -> Option<&[u8]> {
    let id = headers.get(X_REQUEST_ID)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    let sound = !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.iter().all(plain);
    sound.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{NOW, ask, fields, rules};

    #[track_caller]
    fn check(status: CacheStatus, expected: &str) {
        assert_eq!(status.value(), expected);
    }

    #[test]
    fn the_status_says_what_happened() {
        check(
            CacheStatus::hit(Standing { age: 3, ttl: 57 }),
            "warmfront; hit; ttl=57",
        );
        check(
            CacheStatus::hit(Standing { age: 63, ttl: -3 }),
            "warmfront; hit; ttl=-3",
        );
        let miss = CacheStatus::forwarded("uri-miss", StatusCode::OK);
        let stored = CacheStatus {
            stored: true,
            ttl: Some(60),
            ..miss
        };
        check(
            stored,
            "warmfront; fwd=uri-miss; fwd-status=200; stored; ttl=60",
        );
        let unstored = "warmfront; fwd=uri-miss; fwd-status=200; detail=no-store";
        check(miss.unstored(WhyNot::NoStore), unstored);
        let collapsed = CacheStatus {
            collapsed: true,
            ..stored
        };
        let text = "warmfront; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=60";
        check(collapsed, text);
    }

    #[test]
    fn the_key_is_told_in_our_own_line() {
        let mut headers = fields(&[
            ("cache-status", "theirs; hit"),
            ("cache-status", "warmfront; hit"),
        ]);
        tell_key(&mut headers, Key(0xa));
        let seen: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(seen[0], "theirs; hit");
        assert_eq!(
            seen[1],
            "warmfront; hit; key=\"0000000000000000000000000000000a\""
        );
    }

    #[test]
    fn errors_are_errors_whoever_answered() {
        assert_eq!(
            Outcome::Hit.with_status(StatusCode::NOT_FOUND),
            Outcome::Error
        );
        assert_eq!(Outcome::Hit.with_status(StatusCode::FOUND), Outcome::Hit);
    }

    #[test]
    fn what_a_qualified_directive_names_is_not_stored() {
        let control = (
            "cache-control",
            "max-age=9, no-cache=\"set-cookie\", private=\"x-a\"",
        );
        let headers = fields(&[control, ("set-cookie", "a=1"), ("x-a", "1"), ("age", "5")]);
        let stored = as_stored(&headers, &rules(), NOW, None);
        assert_eq!(stored.len(), 2);
        assert_eq!(stored["date"], "Sun, 22 Nov 2026 12:00:00 GMT");
        let kept_back = kept_back(&headers, &rules());
        assert_eq!(
            (&kept_back["set-cookie"], kept_back.len()),
            (&headers["set-cookie"], 2)
        );
    }

    #[test]
    fn tags_are_never_for_viewers() {
        let control = ("cache-control", "max-age=9, private=\"cache-tag\"");
        let tags = ["cache-tag", "surrogate-key", "cache-groups"].map(|name| (name, "\"a\""));
        let headers = fields(&[&tags[..], &[control]].concat());
        assert!(kept_back(&headers, &rules()).is_empty());
        let count = |headers: HeaderMap| (headers.len(), headers.contains_key("cache-control"));
        assert_eq!(count(as_stored(&headers, &rules(), NOW, None)), (2, true));
        assert_eq!(count(interim(&headers)), (2, true));
    }

    #[test]
    fn connection_fields_stop_here() {
        let headers = fields(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-cache", "theirs"),
        ]);
        let seen = end_to_end(headers, http::Version::HTTP_11);
        assert_eq!(seen.len(), 1);
        assert_eq!(seen["via"], "1.1 warmfront");
    }

    #[test]
    fn only_plain_request_ids_are_passed_on() {
        let with = |id: &str| {
            let mut ask = ask("/a");
            ask.headers
                .insert(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&ask.headers).is_some()
        };
        assert!(with("7f-A_1") && !with("a b") && !with("") && !with(&"a".repeat(129)));
    }
}

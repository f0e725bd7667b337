//! What becomes of a fetch: the origin answered, or did not.

use http::{HeaderMap, StatusCode, header};

use super::{
    Ask, RequestDirectives, Rules, WhyNot, age,
    control::Control,
    lifetime::{self, Lifetime, Source},
    marks::{Marks, Sequence},
    recode::{self, Recodable},
    reuse::{self, Standing},
    search::Search,
    storable, validate,
    variant::Varying,
};
use crate::{fields::cache_control::Directives, time::Timestamp};

/// What is remembered of a stored response to decide about its use; it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its status.
    pub status: StatusCode,
    /// When its head arrived, or was last validated.
    pub received: Timestamp,
    /// How old it was then, in seconds.
    pub age_then: u32,
    /// How long it may be used.
    pub lifetime: Lifetime,
    /// What it varies by.
    pub varying: Option<Box<Varying>>,
    /// How it came, where there may be other codings of it.
    pub recodable: Option<Recodable>,
    /// Which other queries it answers.
    pub search: Option<Box<Search>>,
    /// What it can be invalidated by.
    pub marks: Marks,
    /// The latest invalidation when the origin was asked for it.
    pub born: Sequence,
}

/// A stored response, as settling needs to see it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// What is remembered of it.
    pub meta: &'a Meta,
    /// Its fields.
    pub headers: &'a HeaderMap,
}

/// The times of an exchange with the origin.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When the request was sent.
    pub asked: Timestamp,
    /// When the head of its response arrived.
    pub received: Timestamp,
    /// The latest invalidation when the request was sent.
    pub born: Sequence,
}

/// What becomes of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The response goes to the viewer and into the store.
    Store(Meta),
    /// The stored response is as good as new, with these fields; when it may no longer be
    /// stored, it answers this once and is dropped.
    Refresh(HeaderMap, Result<Meta, WhyNot>),
    /// The response goes to this viewer alone.
    PassOn(WhyNot),
    /// The stored response answers, stale, instead of the origin's error (RFC 5861 §4).
    ServeStale(Standing),
    /// The 304 is about another response than the stored one: it must be asked for anew,
    /// without a condition.
    AskAnew,
    /// Nothing answers but the failure.
    Fail,
}

/// Decides about a response with `status` and `headers`, its end-to-end fields.
///
/// `stored` is the response that was being validated or replaced, if there was one.
pub fn answered(
    ask: &Ask,
    rules: &Rules,
    stored: Option<Stored<'_>>,
    (status, headers): (StatusCode, &HeaderMap),
    times: Times,
) -> Settled {
    match stored {
        // Nobody asked with a condition: it answers nothing (RFC 9110 §15.4.5).
        None if status == StatusCode::NOT_MODIFIED => return Settled::Fail,
        Some(stored) if status == StatusCode::NOT_MODIFIED => {
            if !validate::confirms(stored.headers, headers) {
                return Settled::AskAnew;
            }
            let merged = validate::merged(stored.headers, headers);
            let meta = refreshed(ask, rules, stored.meta, headers, &merged, times);
            return Settled::Refresh(merged, meta);
        }
        // "if a cache receives a 5xx (Server Error) response while attempting to validate a
        // response, it can either forward this response to the requesting client or act as
        // if the server failed to respond" (RFC 9111 §4.3.3).
        Some(stored) if status.is_server_error() => {
            if let Some(standing) = stale_if_error(stored.meta, times.received) {
                return Settled::ServeStale(standing);
            }
        }
        _ => {}
    }
    match meta(ask, rules, status, headers, times) {
        Ok(meta) => Settled::Store(meta),
        Err(why) => Settled::PassOn(why),
    }
}

/// Decides what to do when the origin could not be asked.
pub fn failed(stored: Option<&Meta>, now: Timestamp) -> Settled {
    match stored.and_then(|meta| stale_if_error(meta, now)) {
        Some(standing) => Settled::ServeStale(standing),
        None => Settled::Fail,
    }
}

/// Whether a stored response may stand in for a failing origin (RFC 5861 §4).
fn stale_if_error(meta: &Meta, now: Timestamp) -> Option<Standing> {
    let standing = reuse::standing(meta, now);
    let within = -standing.ttl <= i64::from(meta.lifetime.if_error);
    // An error is no better than the next one, and would be served without being kept anew.
    let sound = !meta.status.is_server_error();
    // A response that had to be validated though fresh is not stale, yet as unusable.
    (within && sound && meta.lifetime.if_error > 0).then_some(standing)
}

/// What would be remembered of a response that a stored one with the marks `old` has become
/// by another answer of the origin, or why it is no longer stored. It keeps the tags that are
/// not among its fields, since those are not stored.
pub fn renewed(
    ask: &Ask,
    rules: &Rules,
    old: &Marks,
    (status, merged): (StatusCode, &HeaderMap),
    times: Times,
) -> Result<Meta, WhyNot> {
    let marks = old.refreshed(ask, rules, merged);
    remembered(ask, rules, (status, merged), times, marks)
}

/// What would be remembered of the stored response that `stored` is of, when `fresh` confirmed
/// it and made its fields `merged`; or why it is no longer stored.
pub fn refreshed(
    ask: &Ask,
    rules: &Rules,
    stored: &Meta,
    fresh: &HeaderMap,
    merged: &HeaderMap,
    times: Times,
) -> Result<Meta, WhyNot> {
    let mut meta = renewed(ask, rules, &stored.marks, (stored.status, merged), times)?;
    // What is stored names Accept-Encoding by our own hand; the origin's word is the older one
    // where it does not say it anew.
    if let (Some(now), Some(then)) = (&mut meta.recodable, stored.recodable)
        && !fresh.contains_key(header::VARY)
    {
        now.negotiated = then.negotiated;
    }
    Ok(meta)
}

/// What would be remembered of the response, or why it is not stored.
pub fn meta(
    ask: &Ask,
    rules: &Rules,
    status: StatusCode,
    headers: &HeaderMap,
    times: Times,
) -> Result<Meta, WhyNot> {
    let marks = Marks::of(ask, rules, headers);
    remembered(ask, rules, (status, headers), times, marks)
}

fn remembered(
    ask: &Ask,
    rules: &Rules,
    (status, headers): (StatusCode, &HeaderMap),
    times: Times,
    marks: Result<Marks, WhyNot>,
) -> Result<Meta, WhyNot> {
    let control = Control::of(headers, rules);
    if rules.request_directives == RequestDirectives::Honour {
        // "The no-store request directive indicates that a cache MUST NOT store any part of
        // either this request or any response to it" (RFC 9111 §5.2.1.5).
        let asked = Directives::parse(ask.headers.get_all(header::CACHE_CONTROL));
        if asked.no_store {
            return Err(WhyNot::NoStore);
        }
    }
    storable::storable(ask, rules, status, &control)?;
    let lifetime = lifetime::lifetime(rules, status, &control, times.received);
    let age_then = age::initial(headers, times.asked, times.received);
    if lifetime.source == Source::Nobody && !lifetime.always_validate {
        return Err(WhyNot::NoLifetime);
    }
    let validator =
        headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    let fresh = lifetime.fresh_for > age_then && !lifetime.always_validate;
    if !fresh && !validator && lifetime.while_revalidate == 0 && lifetime.if_error == 0 {
        return Err(WhyNot::NeverFresh);
    }
    let recodable = recode::recodable(rules, status, headers);
    let varying = Varying::of(headers, ask, rules, recodable).map_err(|_| WhyNot::VaryStar)?;
    Ok(Meta {
        status,
        received: times.received,
        age_then,
        lifetime,
        varying,
        recodable: recodable.ok(),
        search: Search::of(ask, rules, headers),
        marks: marks?,
        born: times.born,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{NOW, ask, fields, rules};

    const TIMES: Times = Times {
        asked: NOW,
        received: NOW,
        born: Sequence(0),
    };

    fn stored(control: &str) -> (Meta, HeaderMap) {
        let headers = fields(&[("cache-control", control), ("etag", "\"1\"")]);
        let meta = meta(&ask("/a"), &rules(), StatusCode::OK, &headers, TIMES).unwrap();
        (meta, headers)
    }

    fn settle(old: Option<&(Meta, HeaderMap)>, status: u16, control: &str, after: u64) -> Settled {
        let received = Timestamp::from_unix(NOW.unix() + after);
        let times = Times {
            asked: received,
            received,
            born: Sequence::default(),
        };
        let stored = old.map(|(meta, headers)| Stored { meta, headers });
        let headers = fields(&[("cache-control", control)]);
        let status = StatusCode::from_u16(status).unwrap();
        answered(&ask("/a"), &rules(), stored, (status, &headers), times)
    }

    #[test]
    fn a_storable_response_is_stored_and_another_passes() {
        assert!(matches!(
            settle(None, 200, "max-age=60", 0),
            Settled::Store(_)
        ));
        assert_eq!(
            settle(None, 200, "no-store", 0),
            Settled::PassOn(WhyNot::NoStore)
        );
        assert_eq!(
            settle(None, 200, "x", 0),
            Settled::PassOn(WhyNot::NoLifetime)
        );
    }

    #[test]
    fn what_never_is_fresh_is_stored_only_for_validation_or_failure() {
        assert_eq!(
            settle(None, 200, "max-age=0", 0),
            Settled::PassOn(WhyNot::NeverFresh)
        );
        let (meta, _) = stored("max-age=0");
        assert_eq!(meta.lifetime.fresh_for, 0);
        assert!(matches!(
            settle(None, 200, "max-age=0, stale-if-error=9", 0),
            Settled::Store(_)
        ));
    }

    #[test]
    fn a_304_refreshes_the_stored_response() {
        let old = stored("max-age=60");
        let Settled::Refresh(headers, Ok(meta)) = settle(Some(&old), 304, "max-age=90", 100) else {
            panic!("not refreshed");
        };
        assert_eq!(headers["cache-control"], "max-age=90");
        assert_eq!(headers["etag"], "\"1\"");
        assert_eq!((meta.lifetime.fresh_for, meta.age_then), (90, 0));
        assert_eq!(meta.status, StatusCode::OK);
    }

    #[test]
    fn a_304_that_forbids_storing_answers_once_more() {
        let old = stored("max-age=60");
        let settled = settle(Some(&old), 304, "no-store", 100);
        assert!(matches!(settled, Settled::Refresh(_, Err(WhyNot::NoStore))));
    }

    #[test]
    fn an_error_is_covered_within_stale_if_error_only() {
        let old = stored("max-age=60, stale-if-error=30");
        assert!(matches!(
            settle(Some(&old), 503, "", 80),
            Settled::ServeStale(_)
        ));
        assert!(matches!(
            settle(Some(&old), 503, "", 90),
            Settled::ServeStale(_)
        ));
        assert_eq!(
            settle(Some(&old), 503, "", 91),
            Settled::PassOn(WhyNot::NoLifetime)
        );
        assert_eq!(
            settle(Some(&old), 404, "", 80),
            Settled::PassOn(WhyNot::NoLifetime)
        );
        let strict = stored("max-age=60, stale-if-error=30, must-revalidate");
        assert_eq!(
            settle(Some(&strict), 503, "", 80),
            Settled::PassOn(WhyNot::NoLifetime)
        );
    }

    #[test]
    fn a_failure_is_covered_by_the_same_rule() {
        let (old, _) = stored("max-age=60, stale-if-error=30");
        let at = |after| failed(Some(&old), Timestamp::from_unix(NOW.unix() + after));
        assert!(matches!(
            at(90),
            Settled::ServeStale(Standing { age: 90, ttl: -30 })
        ));
        assert_eq!(at(91), Settled::Fail);
        assert_eq!(failed(None, NOW), Settled::Fail);
    }

    #[test]
    fn an_honoured_no_store_request_is_not_stored() {
        let mut ask = ask("/a");
        ask.headers.insert(header::CACHE_CONTROL, "no-store");
        let headers = fields(&[("cache-control", "max-age=60")]);
        let of = |rules: &Rules| meta(&ask, rules, StatusCode::OK, &headers, TIMES).err();
        assert_eq!(of(&rules()), None);
        let honour = Rules {
            request_directives: RequestDirectives::Honour,
            ..rules()
        };
        assert_eq!(of(&honour), Some(WhyNot::NoStore));
    }
}

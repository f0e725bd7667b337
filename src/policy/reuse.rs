//! Whether a stored response may be used now (RFC 9111 §4, §4.2.4, RFC 5861), and
//! whether one fetch may answer another request too.

use http::header;

use super::{Ask, Meta, RequestDirectives, Rules, age};
use crate::{
    fields::cache_control::{Directives, MaxStale, Scope},
    time::Timestamp,
};

/// How a stored response stands at some moment, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its current age.
    pub age: u32,
    /// What is left of its lifetime; negative once stale.
    pub ttl: i64,
}

/// What to do with a stored response that matches a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It answers.
    Serve(Standing),
    /// It answers, stale, and is refreshed in the background (RFC 5861 §3).
    ServeAndRefresh(Standing),
    /// It must be validated first.
    Validate(WhyValidate),
}

/// Why a stored response must be validated before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyValidate {
    /// Its age reached its lifetime.
    Stale,
    /// It says `no-cache`.
    NoCache,
    /// The viewer's honoured directives ask for it.
    Request,
    /// It was invalidated, softly.
    Invalidated,
}

impl WhyValidate {
    /// The reason in RFC 9211's terms.
    pub const fn forward(self) -> &'static str {
        match self {
            Self::Stale | Self::NoCache | Self::Invalidated => "stale",
            Self::Request => "request",
        }
    }
}

/// How `meta` stands at `now`.
pub fn standing(meta: &Meta, now: Timestamp) -> Standing {
    // "resident_time = now - response_time; current_age = corrected_initial_age +
    // resident_time;" (RFC 9111 §4.2.3)
    let age = meta
        .age_then
        .saturating_add(age::seconds(now, meta.received));
    Standing {
        age,
        ttl: i64::from(meta.lifetime.fresh_for) - i64::from(age),
    }
}

/// Decides about a stored response whose variant matches `ask`.
pub fn reuse(meta: &Meta, ask: &Ask, rules: &Rules, now: Timestamp) -> Reuse {
    let standing = standing(meta, now);
    if meta.lifetime.always_validate {
        return Reuse::Validate(WhyValidate::NoCache);
    }
    let honour = rules.request_directives == RequestDirectives::Honour;
    if let Some(decided) = honour.then(|| asked(meta, ask, standing)).flatten() {
        return decided;
    }
    // "response_is_fresh = (freshness_lifetime > current_age)" (RFC 9111 §4.2)
    if standing.ttl > 0 {
        return Reuse::Serve(standing);
    }
    if -standing.ttl < i64::from(meta.lifetime.while_revalidate) {
        return Reuse::ServeAndRefresh(standing);
    }
    Reuse::Validate(WhyValidate::Stale)
}

/// What becomes of `decided` for a stored response that was invalidated softly: it counts as
/// stale, and may serve while it is revalidated for as long as it could without that.
///
/// Not what must not serve stale: "must-revalidate ... once the response has become stale, a
/// cache MUST NOT reuse that response" (RFC 9111 §5.2.2.2); nor beyond its own time, even to
/// a viewer that takes anything stale.
pub fn softened(decided: Reuse, meta: &Meta) -> Reuse {
    let standing = match decided {
        Reuse::Serve(standing) | Reuse::ServeAndRefresh(standing) => standing,
        Reuse::Validate(why) => return Reuse::Validate(why),
    };
    let within = -standing.ttl < i64::from(meta.lifetime.while_revalidate);
    if meta.lifetime.strict || standing.ttl <= 0 && !within {
        return Reuse::Validate(WhyValidate::Invalidated);
    }
    Reuse::ServeAndRefresh(Standing {
        ttl: standing.ttl.min(0),
        ..standing
    })
}

/// What the viewer's own directives decide, where they do (RFC 9111 §5.2.1, §5.4).
fn asked(meta: &Meta, ask: &Ask, standing: Standing) -> Option<Reuse> {
    let directives = Directives::parse(ask.headers.get_all(header::CACHE_CONTROL));
    // "When the Cache-Control header field is not present in a request, caches MUST
    // consider the no-cache request pragma-directive as having the same effect" (RFC 7234
    // §5.4, which RFC 9111 §5.4 keeps for compatibility).
    let pragma = || {
        let mut lines = ask.headers.get_all(header::PRAGMA);
        !ask.headers.has(header::CACHE_CONTROL)
            && lines.any(|line| line.eq_ignore_ascii_case(b"no-cache"))
    };
    let refused = directives.no_cache == Some(Scope::All)
        || directives.max_age.is_some_and(|max| standing.age > max)
        || directives
            .min_fresh
            .is_some_and(|min| standing.ttl < i64::from(min));
    if refused || pragma() {
        return Some(Reuse::Validate(WhyValidate::Request));
    }
    let tolerated = match directives.max_stale {
        Some(MaxStale::Any) => i64::MAX,
        Some(MaxStale::Seconds(seconds)) => i64::from(seconds),
        None => return None,
    };
    (!meta.lifetime.strict && -standing.ttl <= tolerated).then_some(Reuse::Serve(standing))
}

/// Whether the viewer wants nothing but what is stored (RFC 9111 §5.2.1.7).
pub fn only_if_cached(ask: &Ask, rules: &Rules) -> bool {
    rules.request_directives == RequestDirectives::Honour
        && Directives::parse(ask.headers.get_all(header::CACHE_CONTROL)).only_if_cached
}

/// Whether a response that just arrived may answer others than who it was asked for, whatever
/// that one wished for itself.
pub fn shareable(meta: &Meta, now: Timestamp) -> bool {
    !meta.lifetime.always_validate && standing(meta, now).ttl > 0
}

/// Whether the answer to another request, just arrived, may answer `ask` too.
///
/// "A cache can use a response that is stored or storable to satisfy multiple requests,
/// provided that it is allowed to reuse that response for the requests in question"
/// (RFC 9111 §4, on collapsed requests).
pub fn shared(meta: &Meta, ask: &Ask, rules: &Rules, now: Timestamp) -> bool {
    let same = meta
        .varying
        .as_ref()
        .is_none_or(|varying| varying.matches(ask, rules));
    same && matches!(reuse(meta, ask, rules, now), Reuse::Serve(_))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::policy::{
        marks::Sequence,
        settle::{self, Times},
        tests::{NOW, ask, fields, rules},
    };

    fn meta(control: &str) -> Meta {
        let headers = fields(&[("cache-control", control), ("etag", "\"1\"")]);
        let times = Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        settle::meta(&ask("/a"), &rules(), StatusCode::OK, &headers, times).unwrap()
    }

    fn at(control: &str, after: u64) -> Reuse {
        let now = Timestamp::from_unix(NOW.unix() + after);
        reuse(&meta(control), &ask("/a"), &rules(), now)
    }

    #[track_caller]
    fn check(control: &str, requested: &str, after: u64, expected: &str) {
        let mut ask = ask("/a");
        ask.headers.insert(header::CACHE_CONTROL, requested);
        let honour = Rules {
            request_directives: RequestDirectives::Honour,
            ..rules()
        };
        let now = Timestamp::from_unix(NOW.unix() + after);
        let seen = match reuse(&meta(control), &ask, &honour, now) {
            Reuse::Serve(_) => "serve",
            Reuse::ServeAndRefresh(_) => "refresh",
            Reuse::Validate(why) => why.forward(),
        };
        assert_eq!(
            seen, expected,
            "{control} after {after}s, asked {requested}"
        );
    }

    #[test]
    fn equal_age_and_lifetime_is_stale() {
        assert_eq!(
            at("max-age=60", 59),
            Reuse::Serve(Standing { age: 59, ttl: 1 })
        );
        assert_eq!(at("max-age=60", 60), Reuse::Validate(WhyValidate::Stale));
    }

    #[test]
    fn no_cache_is_validated_though_fresh() {
        assert_eq!(
            at("max-age=60, no-cache", 0),
            Reuse::Validate(WhyValidate::NoCache)
        );
        assert!(matches!(
            at("max-age=60, no-cache=\"x-a\"", 0),
            Reuse::Serve(_)
        ));
    }

    #[test]
    fn stale_while_revalidate_ends_with_its_window() {
        let control = "max-age=60, stale-while-revalidate=10";
        assert!(matches!(at(control, 60), Reuse::ServeAndRefresh(_)));
        assert!(matches!(at(control, 69), Reuse::ServeAndRefresh(_)));
        assert_eq!(at(control, 70), Reuse::Validate(WhyValidate::Stale));
    }

    #[test]
    fn honoured_directives_ask_for_validation() {
        check("max-age=60", "no-cache", 1, "request");
        check("max-age=60", "max-age=5", 5, "serve");
        check("max-age=60", "max-age=5", 6, "request");
        check("max-age=60", "min-fresh=10", 50, "serve");
        check("max-age=60", "min-fresh=10", 51, "request");
        check("max-age=60", "nothing-to-see-here", 1, "serve");
    }

    #[test]
    fn honoured_max_stale_never_beats_a_strict_origin() {
        check("max-age=60", "max-stale=10", 70, "serve");
        check("max-age=60", "max-stale=10", 71, "stale");
        check("max-age=60", "max-stale", 9_999, "serve");
        check("max-age=60, must-revalidate", "max-stale", 61, "stale");
        check("s-maxage=60", "max-stale", 61, "stale");
    }

    #[test]
    fn softly_invalidated_is_stale_and_serves_as_long_as_it_could_without() {
        let softened_at = |control, after| softened(at(control, after), &meta(control));
        let served = |age, ttl| Reuse::ServeAndRefresh(Standing { age, ttl });
        assert_eq!(softened_at("max-age=60", 59), served(59, 0));
        let stale = Reuse::Validate(WhyValidate::Stale);
        assert_eq!(softened_at("max-age=60", 60), stale);
        let control = "max-age=60, stale-while-revalidate=10";
        assert_eq!(softened_at(control, 69), served(69, -9));
        assert_eq!(softened_at(control, 70), stale);
        let invalidated = Reuse::Validate(WhyValidate::Invalidated);
        assert_eq!(softened_at("max-age=60, must-revalidate", 1), invalidated);
        assert_eq!(softened_at("s-maxage=60", 1), invalidated);
        let no_cache = Reuse::Validate(WhyValidate::NoCache);
        assert_eq!(softened_at("max-age=60, no-cache", 1), no_cache);
        // `max-stale` lets no viewer have what was invalidated and is past its time.
        let tolerated = Reuse::Serve(Standing { age: 70, ttl: -10 });
        assert_eq!(softened(tolerated, &meta("max-age=60")), invalidated);
    }

    #[test]
    fn a_fetch_is_shared_only_while_its_answer_is_fresh() {
        let shared_at = |control, after| {
            let now = Timestamp::from_unix(NOW.unix() + after);
            shared(&meta(control), &ask("/a"), &rules(), now)
        };
        assert!(shared_at("max-age=1", 0));
        assert!(!shared_at("max-age=0", 0));
        assert!(!shared_at("no-cache", 0));
        assert!(!shared_at("max-age=0, stale-while-revalidate=60", 0));
    }
}

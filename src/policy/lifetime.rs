//! How long a response is fresh, and how long it may still serve when stale.
//!
//! The origin's own word first (RFC 9111 §4.2.1), held within the behaviour's
//! minimum and maximum; then, where it said nothing, the behaviour's defaults
//! (CloudFront: how TTLs and `Cache-Control` work together).

use std::time::Duration;

use http::{StatusCode, header};

use super::{Rules, Ttls, control::Control, errors};
use crate::{
    fields::{cache_control::Scope, date},
    time::Timestamp,
};

/// How long a response may be used, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Its freshness lifetime; it is stale when its age reaches it.
    pub fresh_for: u32,
    /// Who named it.
    pub source: Source,
    /// How long past it a response serves while it is refreshed (RFC 5861 §3).
    pub while_revalidate: u32,
    /// How long past it a response serves while the origin fails (RFC 5861 §4).
    pub if_error: u32,
    /// Whether every use must be validated, fresh or not (`no-cache`).
    pub always_validate: bool,
    /// Whether staleness is forbidden even to a viewer that asks for it.
    pub strict: bool,
}

/// Who named a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// `Last-Modified`, by `ttl.heuristic`.
    Heuristic,
    /// `ttl.error`.
    Error,
    /// The `ttl` of an error answer.
    ErrorAnswer,
    /// `ttl.default`.
    Default,
    /// `ttl.min`, over the origin's `no-store`, `private` or `no-cache`.
    Override,
    /// Nobody.
    Nobody,
}

impl Source {
    /// Who, and the section that says so.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SMaxage => "s-maxage (RFC 9111 §5.2.2.10)",
            Self::MaxAge => "max-age (RFC 9111 §5.2.2.1)",
            Self::Expires => "Expires (RFC 9111 §5.3)",
            Self::Heuristic => "ttl.heuristic of the age since Last-Modified (RFC 9111 §4.2.2)",
            Self::Error => "ttl.error",
            Self::ErrorAnswer => "ttl of an error",
            Self::Default => "ttl.default",
            Self::Override => "ttl.min, by unsafe_ttl_min_overrides_origin",
            Self::Nobody => "nobody",
        }
    }
}

/// Lifetimes end here, below the age that means "very old" (RFC 9111 §1.2.2: 2^31).
const LIFETIME_SECONDS_MAX: u32 = (1 << 31) - 1;

/// The lifetime of a response received at `received`.
pub fn lifetime(
    rules: &Rules,
    status: StatusCode,
    control: &Control<'_>,
    received: Timestamp,
) -> Lifetime {
    let directives = &control.directives;
    let ttl = &rules.ttl;
    let forbidden = directives.no_cache == Some(Scope::All)
        || directives.no_store && !directives.must_understand
        || directives.private == Some(Scope::All);
    let overridden = forbidden && rules.relaxed.ttl_min_overrides_origin && !ttl.min.is_zero();
    let (fresh_for, source) = if overridden {
        (secs(ttl.min), Source::Override)
    } else if let Some((named, source)) = explicit(control, received) {
        (named.clamp(secs(ttl.min), secs(ttl.max)), source)
    } else {
        implicit(rules, status, control, received)
    };
    // "A cache MUST NOT generate a stale response if it is prohibited by an explicit
    // in-protocol directive (e.g., by a no-cache response directive, a must-revalidate
    // response directive, or an applicable s-maxage or proxy-revalidate response
    // directive" (§4.2.4).
    let no_cache = directives.no_cache == Some(Scope::All);
    let strict =
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some();
    let window = |named: Option<u32>, default: Duration| match (no_cache || strict, named) {
        (true, _) => 0,
        (false, named) => named.unwrap_or_else(|| secs(default)).min(secs(ttl.max)),
    };
    Lifetime {
        fresh_for,
        source,
        while_revalidate: window(
            directives.stale_while_revalidate,
            rules.stale.while_revalidate,
        ),
        if_error: window(directives.stale_if_error, rules.stale.if_error),
        always_validate: no_cache && !overridden,
        strict: strict || no_cache && !overridden,
    }
}

/// What the origin itself says, by RFC 9111 §4.2.1's order.
fn explicit(control: &Control<'_>, received: Timestamp) -> Option<(u32, Source)> {
    let Control {
        directives,
        headers,
        ..
    } = control;
    // "If the cache is shared and the s-maxage response directive is present, use its value, or"
    if let Some(seconds) = directives.s_maxage {
        return Some((seconds, Source::SMaxage));
    }
    // "If the max-age response directive is present, use its value, or"
    if let Some(seconds) = directives.max_age {
        return Some((seconds, Source::MaxAge));
    }
    if control.targeted {
        return None;
    }
    // "If the Expires response header field is present, use its value minus the value of
    // the Date response header field"; an invalid one, or several, mean "a time in the past".
    let mut lines = headers.get_all(header::EXPIRES).iter();
    let expires = lines.next()?;
    let sole = if lines.next().is_none() {
        date::parse(expires.as_bytes(), received)
    } else {
        None
    };
    let date = headers
        .get(header::DATE)
        .and_then(|date| date::parse(date.as_bytes(), received));
    let seconds = sole.map_or(0, |expires| {
        super::age::seconds(expires, date.unwrap_or(received))
    });
    Some((seconds, Source::Expires))
}

/// What the behaviour says for an answer that names no lifetime.
fn implicit(
    rules: &Rules,
    status: StatusCode,
    control: &Control<'_>,
    received: Timestamp,
) -> (u32, Source) {
    let (ttl, code) = (&rules.ttl, status.as_u16());
    let listed = errors::of(&rules.viewer.errors, status).and_then(|error| error.ttl);
    if let Some(seconds) = heuristic(ttl, code, control, received) {
        return (
            seconds.clamp(secs(ttl.min), secs(ttl.max)),
            Source::Heuristic,
        );
    }
    let (named, source) = match code {
        _ if listed.is_some() => (listed.unwrap_or_default(), Source::ErrorAnswer),
        404 | 410 | 414 | 500..=599 => (ttl.error, Source::Error),
        // A redirect, and any other refusal, is kept only when the origin says so.
        200 | 203 | 204 => (ttl.default.max(ttl.min), Source::Default),
        _ => (Duration::ZERO, Source::Nobody),
    };
    if named.is_zero() {
        (0, Source::Nobody)
    } else {
        (secs(named).min(secs(ttl.max)), source)
    }
}

/// "Although origin servers are encouraged to ... a cache MAY assign a heuristic
/// expiration time when an explicit time is not specified" (§4.2.2).
fn heuristic(ttl: &Ttls, code: u16, control: &Control<'_>, received: Timestamp) -> Option<u32> {
    let by_status = matches!(
        code,
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    );
    if ttl.heuristic <= 0.0 || !(by_status || control.directives.public) {
        return None;
    }
    let modified = date::parse(
        control.headers.get(header::LAST_MODIFIED)?.as_bytes(),
        received,
    )?;
    let since = f64::from(super::age::seconds(received, modified));
    // The product of a share in 0..=1 and a u32 is a u32.
    Some((since * ttl.heuristic.min(1.0)) as u32)
}

/// Whole seconds, as lifetimes count them.
pub fn secs(span: Duration) -> u32 {
    u32::try_from(span.as_secs())
        .map_or(LIFETIME_SECONDS_MAX, |secs| secs.min(LIFETIME_SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{NOW, fields, rules};

    const YEAR: u32 = 365 * 86_400;

    /// Rules with minimum, default and maximum in seconds.
    fn ttls(min: u32, default: u32, max: u32) -> Rules {
        let mut rules = rules();
        let span = |seconds| Duration::from_secs(u64::from(seconds));
        (rules.ttl.min, rules.ttl.default, rules.ttl.max) = (span(min), span(default), span(max));
        rules
    }

    fn of(rules: &Rules, status: u16, named: &[(&'static str, &str)]) -> Lifetime {
        let headers = fields(named);
        let control = Control::of(&headers, rules);
        lifetime(rules, StatusCode::from_u16(status).unwrap(), &control, NOW)
    }

    #[track_caller]
    fn check(rules: &Rules, named: &[(&'static str, &str)], expected: (u32, Source)) {
        let seen = of(rules, 200, named);
        assert_eq!((seen.fresh_for, seen.source), expected, "{named:?}");
    }

    #[test]
    fn one_second_means_one_second_under_a_default_of_a_year() {
        let year = ttls(0, YEAR, YEAR);
        check(
            &year,
            &[("cache-control", "max-age=1")],
            (1, Source::MaxAge),
        );
        check(&year, &[], (YEAR, Source::Default));
    }

    #[test]
    fn s_maxage_over_max_age_over_expires() {
        let year = ttls(0, 0, YEAR);
        let expires = ("expires", "Sun, 22 Nov 2026 12:02:00 GMT");
        let date = ("date", "Sun, 22 Nov 2026 12:00:00 GMT");
        check(
            &year,
            &[("cache-control", "max-age=5, s-maxage=9")],
            (9, Source::SMaxage),
        );
        check(
            &year,
            &[("cache-control", "max-age=5"), expires],
            (5, Source::MaxAge),
        );
        check(&year, &[expires, date], (120, Source::Expires));
        check(&year, &[expires], (120, Source::Expires));
        check(&year, &[("expires", "0")], (0, Source::Expires));
        check(&year, &[expires, expires], (0, Source::Expires));
        check(&year, &[], (0, Source::Nobody));
    }

    #[test]
    fn the_origin_is_held_between_minimum_and_maximum() {
        let bounds = ttls(10, 60, 100);
        check(
            &bounds,
            &[("cache-control", "max-age=5")],
            (10, Source::MaxAge),
        );
        check(
            &bounds,
            &[("cache-control", "max-age=50")],
            (50, Source::MaxAge),
        );
        check(
            &bounds,
            &[("cache-control", "max-age=5000")],
            (100, Source::MaxAge),
        );
        check(&bounds, &[], (60, Source::Default));
        check(&ttls(10, 5, 100), &[], (10, Source::Default));
    }

    #[test]
    fn the_minimum_overrides_no_cache_only_when_told_so_loudly() {
        let mut bounds = ttls(10, 60, 100);
        let no_cache = [("cache-control", "no-cache")];
        assert!(of(&bounds, 200, &no_cache).always_validate);
        bounds.relaxed.ttl_min_overrides_origin = true;
        let seen = of(&bounds, 200, &no_cache);
        assert_eq!((seen.fresh_for, seen.always_validate), (10, false));
    }

    #[test]
    fn errors_without_a_lifetime_have_their_own() {
        let mut rules = ttls(0, YEAR, YEAR);
        assert_eq!(of(&rules, 404, &[]).source, Source::Nobody);
        assert_eq!(of(&rules, 302, &[]).source, Source::Nobody);
        assert_eq!(of(&rules, 400, &[]).source, Source::Nobody);
        rules.ttl.error = Duration::from_secs(10);
        assert_eq!(of(&rules, 404, &[]).fresh_for, 10);
        assert_eq!(of(&rules, 503, &[]).fresh_for, 10);
        assert_eq!(
            of(&rules, 404, &[("cache-control", "max-age=3")]).fresh_for,
            3
        );
        assert_eq!(of(&rules, 400, &[]).fresh_for, 0);
    }

    #[test]
    fn the_heuristic_needs_a_status_that_allows_it() {
        let mut rules = ttls(0, 0, YEAR);
        rules.ttl.heuristic = 0.1;
        let modified = [("last-modified", "Sun, 22 Nov 2026 11:50:00 GMT")];
        assert_eq!(of(&rules, 200, &modified).fresh_for, 60);
        assert_eq!(of(&rules, 404, &modified).fresh_for, 60);
        assert_eq!(of(&rules, 403, &modified).fresh_for, 0);
        let public = [modified[0], ("cache-control", "public")];
        assert_eq!(of(&rules, 599, &public).fresh_for, 60);
    }

    #[test]
    fn the_origin_allows_and_forbids_staleness() {
        let mut rules = ttls(0, 0, YEAR);
        rules.stale.if_error = Duration::from_secs(3_600);
        let stale = |control| {
            let seen = of(&rules, 200, &[("cache-control", control)]);
            (seen.while_revalidate, seen.if_error)
        };
        assert_eq!(stale("max-age=1"), (0, 3_600));
        assert_eq!(
            stale("max-age=1, stale-while-revalidate=7, stale-if-error=9"),
            (7, 9)
        );
        assert_eq!(stale("max-age=1, stale-if-error=0"), (0, 0));
        for strict in [
            "must-revalidate",
            "proxy-revalidate",
            "no-cache",
            "s-maxage=1",
        ] {
            let control = format!("max-age=1, stale-while-revalidate=7, {strict}");
            let seen = of(&rules, 200, &[("cache-control", &control)]);
            assert_eq!((seen.while_revalidate, seen.if_error), (0, 0), "{strict}");
        }
    }
}

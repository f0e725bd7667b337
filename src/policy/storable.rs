//! Whether a response may be stored by a shared cache (RFC 9111 §3, §3.5).

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::{Ask, Rules, Selection, Vary, WhyNot, control::Control, variant};
use crate::fields::cache_control::{Directives, Scope};

/// The final statuses whose meaning a cache knows (RFC 9110 §15).
const UNDERSTOOD: &[u16] = &[
    200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405,
    406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503,
    504, 505,
];

/// Whether the response may be stored, its lifetime left aside.
///
/// The order is that of RFC 9111 §3, our own guards after it.
pub fn storable(
    ask: &Ask,
    rules: &Rules,
    status: StatusCode,
    control: &Control<'_>,
) -> Result<(), WhyNot> {
    let Control {
        directives,
        headers,
        ..
    } = control;
    // "the request method is understood by the cache;"
    if ask.method != Method::GET {
        return Err(WhyNot::Method);
    }
    // "the response status code is final;" and a partial one is no whole answer.
    if status.is_informational() || matches!(status.as_u16(), 206 | 304) {
        return Err(WhyNot::Status);
    }
    let understood = UNDERSTOOD.contains(&status.as_u16());
    // "if the response status code is 206 or 304, or the must-understand cache directive
    // is present: the cache understands the response status code;"
    if directives.must_understand && !understood {
        return Err(WhyNot::NotUnderstood);
    }
    let overridden = rules.relaxed.ttl_min_overrides_origin && !rules.ttl.min.is_zero();
    // "the no-store cache directive is not present in the response"; must-understand
    // tells a cache that knows the status to ignore it (§5.2.2.3).
    if directives.no_store && !directives.must_understand && !overridden {
        return Err(WhyNot::NoStore);
    }
    // "if the cache is shared: the private response directive is either not present or
    // allows a shared cache to store a modified response;"
    if directives.private == Some(Scope::All) && !overridden {
        return Err(WhyNot::Private);
    }
    if matches!(status.as_u16(), 401 | 403 | 407) {
        return Err(WhyNot::AsksForCredentials);
    }
    // One viewer's odd wishes are no answer for the others (security case C7).
    if status == StatusCode::NOT_ACCEPTABLE {
        return Err(WhyNot::NotAcceptable);
    }
    credentials(ask, rules, control)?;
    if sets_cookie(headers, directives) && !rules.relaxed.store_set_cookie {
        return Err(WhyNot::SetCookie);
    }
    vary(rules, headers)
}

/// "if the cache is shared: the Authorization header field is not present in the
/// request or a response directive is present that explicitly allows shared
/// caching (see Section 3.5);" — and the same care for cookies.
fn credentials(ask: &Ask, rules: &Rules, control: &Control<'_>) -> Result<(), WhyNot> {
    let directives = &control.directives;
    if rules.relaxed.share_authorized {
        return Ok(());
    }
    let keyed = rules.key.headers.contains(&header::AUTHORIZATION);
    // "must-revalidate, public, and s-maxage" (§3.5).
    let leave = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    if ask.headers.has(header::AUTHORIZATION) && !keyed && !leave {
        return Err(WhyNot::Authorization);
    }
    let explicit = control.has_lifetime() || leave;
    if unkeyed_cookies(ask, rules) && !explicit {
        return Err(WhyNot::Cookie);
    }
    Ok(())
}

/// Whether `ask` carries credentials that the key does not hold: answers to it need more
/// than answers to others to be shared.
pub fn credentialed(ask: &Ask, rules: &Rules) -> bool {
    let keyed = rules.key.headers.contains(&header::AUTHORIZATION);
    ask.headers.has(header::AUTHORIZATION) && !keyed || unkeyed_cookies(ask, rules)
}

/// Whether a cookie reaches the origin that the key does not hold.
fn unkeyed_cookies(ask: &Ask, rules: &Rules) -> bool {
    use crate::fields::cookie;
    rules.forward.cookies != Selection::None
        && cookie::pairs(ask.headers.get_all(header::COOKIE)).any(|(name, _)| {
            rules.forward.cookies.takes(name) && !rules.key.cookies.iter().any(|key| key == name)
        })
}

/// Whether `Set-Cookie` would be stored: `no-cache="Set-Cookie"` leaves it out.
fn sets_cookie(headers: &HeaderMap, directives: &Directives) -> bool {
    headers.contains_key(header::SET_COOKIE)
        && !withheld(directives).any(|name| name == header::SET_COOKIE)
}

/// The fields that a qualified `private` or `no-cache` keeps out of the store
/// (RFC 9111 §5.2.2.4, §5.2.2.7).
pub fn withheld(directives: &Directives) -> impl Iterator<Item = &HeaderName> {
    [&directives.private, &directives.no_cache]
        .into_iter()
        .filter_map(|scope| match scope {
            Some(Scope::Fields(names)) => Some(names),
            Some(Scope::All) | None => None,
        })
        .flatten()
}

fn vary(rules: &Rules, headers: &HeaderMap) -> Result<(), WhyNot> {
    let keyed =
        |name: &HeaderName| rules.key.headers.contains(name) || *name == header::ACCEPT_ENCODING;
    match variant::names(headers) {
        Err(variant::Star) => Err(WhyNot::VaryStar),
        Ok(names) if rules.vary == Vary::Refuse && !names.iter().all(keyed) => {
            Err(WhyNot::VaryRefused)
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::{
        Relaxed,
        tests::{ask, fields, rules},
    };

    #[track_caller]
    fn check(ask: &Ask, rules: &Rules, status: u16, fields: HeaderMap, expected: Option<WhyNot>) {
        let control = Control::of(&fields, rules);
        let status = StatusCode::from_u16(status).unwrap();
        let seen = storable(ask, rules, status, &control);
        assert_eq!(seen.err(), expected, "{status} {fields:?}");
    }

    fn with(name: HeaderName, value: &'static str) -> Ask {
        let mut ask = ask("/a");
        ask.headers.insert(name, HeaderValue::from_static(value));
        ask
    }

    fn control(value: &'static str) -> HeaderMap {
        fields(&[("cache-control", value)])
    }

    #[test]
    fn no_store_and_private_are_never_stored() {
        let plain = ask("/a");
        check(&plain, &rules(), 200, control("max-age=60"), None);
        check(
            &plain,
            &rules(),
            200,
            control("max-age=60, no-store"),
            Some(WhyNot::NoStore),
        );
        check(
            &plain,
            &rules(),
            200,
            control("max-age=60, private"),
            Some(WhyNot::Private),
        );
        check(
            &plain,
            &rules(),
            200,
            control("max-age=60, private=\"x-a\""),
            None,
        );
        check(&plain, &rules(), 200, control("no-cache"), None);
    }

    #[test]
    fn a_minimum_overrides_the_origin_only_when_told_so_loudly() {
        let mut loud = rules();
        loud.ttl.min = std::time::Duration::from_secs(5);
        check(
            &ask("/a"),
            &loud,
            200,
            control("private"),
            Some(WhyNot::Private),
        );
        loud.relaxed.ttl_min_overrides_origin = true;
        check(&ask("/a"), &loud, 200, control("private"), None);
        check(&ask("/a"), &loud, 200, control("no-store"), None);
    }

    #[test]
    fn must_understand_replaces_no_store_for_known_statuses() {
        let both = || control("max-age=60, must-understand, no-store");
        check(&ask("/a"), &rules(), 200, both(), None);
        check(
            &ask("/a"),
            &rules(),
            299,
            both(),
            Some(WhyNot::NotUnderstood),
        );
    }

    #[test]
    fn d5_answers_to_authorization_need_leave() {
        let ask = with(header::AUTHORIZATION, "Bearer v");
        check(
            &ask,
            &rules(),
            200,
            control("max-age=60"),
            Some(WhyNot::Authorization),
        );
        for leave in [
            "public, max-age=60",
            "s-maxage=60",
            "must-revalidate, max-age=60",
        ] {
            check(&ask, &rules(), 200, control(leave), None);
        }
        let mut keyed = rules();
        keyed.key.headers = vec![header::AUTHORIZATION];
        check(&ask, &keyed, 200, control("max-age=60"), None);
        let relaxed = Relaxed {
            share_authorized: true,
            ..Relaxed::default()
        };
        check(
            &ask,
            &Rules { relaxed, ..rules() },
            200,
            control("max-age=60"),
            None,
        );
    }

    #[test]
    fn d7_answers_to_unkeyed_cookies_need_an_explicit_lifetime() {
        let ask = with(header::COOKIE, "session=1");
        check(&ask, &rules(), 200, HeaderMap::new(), Some(WhyNot::Cookie));
        check(&ask, &rules(), 200, control("max-age=60"), None);
        let mut stripped = rules();
        stripped.forward.cookies = Selection::None;
        check(&ask, &stripped, 200, HeaderMap::new(), None);
        let mut keyed = rules();
        keyed.key.cookies = vec![b"session".to_vec()];
        check(&ask, &keyed, 200, HeaderMap::new(), None);
    }

    #[test]
    fn d9_a_response_that_sets_a_cookie_is_not_stored() {
        let sets = |control| fields(&[("cache-control", control), ("set-cookie", "a=1")]);
        check(
            &ask("/a"),
            &rules(),
            200,
            sets("max-age=60"),
            Some(WhyNot::SetCookie),
        );
        check(
            &ask("/a"),
            &rules(),
            200,
            sets("max-age=60, no-cache=\"Set-Cookie\""),
            None,
        );
        let relaxed = Relaxed {
            store_set_cookie: true,
            ..Relaxed::default()
        };
        check(
            &ask("/a"),
            &Rules { relaxed, ..rules() },
            200,
            sets("max-age=60"),
            None,
        );
    }

    #[test]
    fn d14_answers_that_ask_for_credentials_are_never_shared() {
        for status in [401, 403, 407] {
            let public = control("public, max-age=60");
            check(
                &ask("/a"),
                &rules(),
                status,
                public,
                Some(WhyNot::AsksForCredentials),
            );
        }
    }

    #[test]
    fn p15_a_star_in_vary_is_not_stored() {
        let varies = |by| fields(&[("cache-control", "max-age=60"), ("vary", by)]);
        check(
            &ask("/a"),
            &rules(),
            200,
            varies("*"),
            Some(WhyNot::VaryStar),
        );
        check(
            &ask("/a"),
            &rules(),
            200,
            varies("Foo, *"),
            Some(WhyNot::VaryStar),
        );
        check(&ask("/a"), &rules(), 200, varies("Foo"), None);
        let refuse = Rules {
            vary: Vary::Refuse,
            ..rules()
        };
        check(
            &ask("/a"),
            &refuse,
            200,
            varies("Foo"),
            Some(WhyNot::VaryRefused),
        );
        check(&ask("/a"), &refuse, 200, varies("Accept-Encoding"), None);
    }

    #[test]
    fn only_whole_answers_to_get_are_stored() {
        let mut head = ask("/a");
        head.method = Method::HEAD;
        check(
            &head,
            &rules(),
            200,
            control("max-age=60"),
            Some(WhyNot::Method),
        );
        check(
            &ask("/a"),
            &rules(),
            206,
            control("max-age=60"),
            Some(WhyNot::Status),
        );
        check(&ask("/a"), &rules(), 599, control("max-age=60"), None);
    }
}

//! What a successful unsafe request makes of stored responses (RFC 9111 §4.4).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

use super::{Ask, Target};
use crate::fields::{host::Host, path, target};

/// The longest reference that is followed, in bytes: no target of ours is longer.
const REFERENCE_BYTES_MAX: usize = 8_192;

/// Whether an answer with `status` to `method` ends what is stored of its target: "a cache
/// MUST invalidate the target URI ... when it receives a non-error status code in response
/// to an unsafe request method (including methods whose safety is unknown)", where
/// "a non-error response is one with a 2xx (Successful) or 3xx (Redirection) status code".
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    let safe = matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    !safe && (status.is_success() || status.is_redirection())
}

/// The requests whose stored answers end: GET for the target itself, and for what
/// `Location` and `Content-Location` name on the same host.
///
/// "A cache MAY invalidate other URIs ... In particular, the URI(s) in the Location and
/// Content-Location response header fields (if present) are candidates", and it "MUST NOT
/// ... if the origin ... differs from that of the target URI".
pub fn targets(ask: &Ask, origin: &Target, headers: &HeaderMap) -> Vec<Ask> {
    let named = [header::LOCATION, header::CONTENT_LOCATION];
    let named = named
        .iter()
        .filter_map(|name| located(name, ask, origin, headers));
    let own = (ask.target.clone(), ask.rewritten.clone());
    std::iter::once(own)
        .chain(named)
        .map(|(target, rewritten)| Ask {
            method: Method::GET,
            has_body: false,
            target,
            rewritten,
            ..ask.clone()
        })
        .collect()
}

/// The read of the target itself, if `Content-Location` says that the answer is what such a
/// read would get (RFC 9110 §8.7).
pub fn content_is_of_target(ask: &Ask, origin: &Target, headers: &HeaderMap) -> Option<Ask> {
    let (target, rewritten) = located(&header::CONTENT_LOCATION, ask, origin, headers)?;
    let read = Ask {
        method: Method::GET,
        has_body: false,
        target,
        rewritten,
        ..ask.clone()
    };
    (read.path() == ask.path() && read.query() == ask.query()).then_some(read)
}

/// The target that a field names, as our viewers ask for it.
fn located(
    name: &HeaderName,
    ask: &Ask,
    origin: &Target,
    headers: &HeaderMap,
) -> Option<(target::Target, Option<Box<str>>)> {
    let reference = headers.get(name)?.to_str().ok()?;
    if reference.len() > REFERENCE_BYTES_MAX {
        return None;
    }
    // A fragment is no part of what is asked for.
    let reference = reference.split('#').next().unwrap_or_default();
    let absolute = match reference.split_once("://") {
        Some(("http" | "https", rest)) => Some(rest),
        _ => reference.strip_prefix("//"),
    };
    // "a path segment that contains a colon character ... cannot be used as the first
    // segment of a relative-path reference" (RFC 3986 §4.2): it is some other scheme.
    let first = reference.split(['/', '?']).next().unwrap_or_default();
    if absolute.is_none() && first.contains(':') {
        return None;
    }
    let local = match absolute {
        None => Cow::Borrowed(reference),
        Some(rest) => {
            let uri: Uri = format!("http://{rest}").parse().ok()?;
            let authority = uri.authority()?.as_str().as_bytes();
            let ours = Host::parse_authority(authority).is_ok_and(|(host, _)| host == ask.host);
            if authority != origin.authority.as_bytes() && !ours {
                return None;
            }
            Cow::Owned(uri.path_and_query()?.as_str().to_owned())
        }
    };
    let rooted = if local.starts_with('/') {
        // The origin speaks of its own paths.
        let inner = local.strip_prefix(origin.prefix.as_str());
        inner
            .filter(|inner| inner.starts_with('/'))
            .unwrap_or(&local)
            .to_owned()
    } else if local.starts_with('?') {
        format!("{}{local}", ask.path())
    } else {
        let (folder, _) = ask.path().rsplit_once('/')?;
        format!("{folder}/{local}")
    };
    let target = target::Target::parse(&rooted)?;
    let rewritten = match path::canonical(target.path()).ok()? {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path.into()),
    };
    Some((target, rewritten))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::tests::{ask, fields};

    #[test]
    fn only_success_of_an_unsafe_method_invalidates() {
        let check = |method: &str, status: u16| {
            invalidates(
                &method.parse().unwrap(),
                StatusCode::from_u16(status).unwrap(),
            )
        };
        assert!(check("POST", 200) && check("DELETE", 204) && check("PUT", 303));
        assert!(check("M-SEARCH", 200));
        assert!(!check("POST", 400) && !check("POST", 500));
        assert!(!check("GET", 200) && !check("HEAD", 200) && !check("OPTIONS", 200));
    }

    #[track_caller]
    fn check(field: &'static str, value: &str, expected: Option<&str>) {
        let origin = Target {
            authority: HeaderValue::from_static("api.example.com"),
            prefix: "/v1".into(),
            headers: Vec::new(),
        };
        let mut posted = ask("/a/b?x=1");
        posted.method = Method::POST;
        let targets = targets(&posted, &origin, &fields(&[(field, value)]));
        assert!(targets.iter().all(|target| target.method == Method::GET));
        assert_eq!(targets[0].target.as_str(), "/a/b?x=1");
        let whole = |ask: &Ask| match ask.query() {
            Some(query) => format!("{}?{query}", ask.path()),
            None => ask.path().to_owned(),
        };
        assert_eq!(targets.get(1).map(whole).as_deref(), expected, "{value}");
    }

    #[test]
    fn references_on_the_same_host_are_followed() {
        check("location", "/c?y=2", Some("/c?y=2"));
        check("location", "/v1/c", Some("/c"));
        check("location", "/v12/c", Some("/v12/c"));
        check("location", "https://api.example.com/v1/c#top", Some("/c"));
        check("location", "//example.test/c", Some("/c"));
        check("content-location", "c", Some("/a/c"));
        check("content-location", "../c", Some("/c"));
        check("content-location", "?y=2", Some("/a/b?y=2"));
    }

    #[test]
    fn references_elsewhere_are_not() {
        check("location", "https://elsewhere.example/c", None);
        check("location", "mailto:a@example.test", None);
        check("location", "http://[", None);
        check("x-other", "/c", None);
    }
}

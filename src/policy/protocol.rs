//! Whether a behaviour serves plain HTTP (CloudFront: viewer protocol policy).

use http::{HeaderValue, Method, StatusCode, Version};

use super::{Ask, Rules, Scheme};

/// What a behaviour does with requests that did not come over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewerProtocol {
    /// It serves them.
    #[default]
    AllowAll,
    /// It sends viewers to the same target over HTTPS.
    RedirectToHttps,
    /// It refuses them.
    HttpsOnly,
}

/// What the protocol of a request makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Serve,
    /// It is answered with this status and [`location`].
    Redirect(StatusCode),
    /// It is answered 403.
    Refuse,
}

/// Decides by the scheme of `ask`.
///
/// CloudFront answers GET and HEAD with 301 and other methods with 307: "the user agent MUST
/// NOT change the request method if it performs an automatic redirection" then (RFC 9110
/// §15.4.8). Whoever speaks less than HTTP/1.1 does not know 307, and is refused.
pub fn verdict(ask: &Ask, rules: &Rules) -> Verdict {
    match (ask.scheme, rules.viewer.protocol) {
        (Scheme::Https, _) | (Scheme::Http, ViewerProtocol::AllowAll) => Verdict::Serve,
        (Scheme::Http, ViewerProtocol::HttpsOnly) => Verdict::Refuse,
        (Scheme::Http, ViewerProtocol::RedirectToHttps) => match ask.method {
            Method::GET | Method::HEAD => Verdict::Redirect(StatusCode::MOVED_PERMANENTLY),
            _ if ask.version < Version::HTTP_11 => Verdict::Refuse,
            _ => Verdict::Redirect(StatusCode::TEMPORARY_REDIRECT),
        },
    }
}

/// Where a redirected viewer goes: the host it asked, the one path that everything else
/// sees, its query as sent.
///
/// The host is a checked one of the request itself and an authority always stands before the
/// path, so that no target (`//evil.example`) leads anywhere else. A port is left out: that of
/// plain HTTP says nothing about that of HTTPS. `None` cannot happen for a checked target.
pub fn location(ask: &Ask) -> Option<HeaderValue> {
    let (host, path) = (ask.host.as_str(), ask.path());
    let location = match ask.query() {
        Some(query) => format!("https://{host}{path}?{query}"),
        None => format!("https://{host}{path}"),
    };
    HeaderValue::try_from(location).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, rules};

    #[track_caller]
    fn check(policy: ViewerProtocol, method: Method, scheme: Scheme, expected: Verdict) {
        let mut rules = rules();
        rules.viewer.protocol = policy;
        let ask = Ask {
            method,
            scheme,
            ..ask("/a")
        };
        assert_eq!(verdict(&ask, &rules), expected);
    }

    #[test]
    fn reads_are_moved_for_good_and_other_methods_are_kept() {
        use ViewerProtocol::RedirectToHttps;
        let to = |status| Verdict::Redirect(StatusCode::from_u16(status).unwrap());
        check(RedirectToHttps, Method::GET, Scheme::Http, to(301));
        check(RedirectToHttps, Method::HEAD, Scheme::Http, to(301));
        check(RedirectToHttps, Method::POST, Scheme::Http, to(307));
        check(RedirectToHttps, Method::POST, Scheme::Https, Verdict::Serve);
    }

    #[test]
    fn plain_text_is_refused_where_only_tls_is_served() {
        use ViewerProtocol::{AllowAll, HttpsOnly};
        check(HttpsOnly, Method::GET, Scheme::Http, Verdict::Refuse);
        check(HttpsOnly, Method::GET, Scheme::Https, Verdict::Serve);
        check(AllowAll, Method::GET, Scheme::Http, Verdict::Serve);
    }

    #[test]
    fn who_cannot_know_307_is_refused() {
        let mut rules = rules();
        rules.viewer.protocol = ViewerProtocol::RedirectToHttps;
        let old = |method| Ask {
            method,
            version: Version::HTTP_10,
            ..ask("/a")
        };
        assert_eq!(verdict(&old(Method::POST), &rules), Verdict::Refuse);
        let moved = Verdict::Redirect(StatusCode::MOVED_PERMANENTLY);
        assert_eq!(verdict(&old(Method::GET), &rules), moved);
    }

    #[test]
    fn a_redirect_never_leaves_the_host() {
        #[track_caller]
        fn check(target: &str, expected: &str) {
            assert_eq!(location(&ask(target)).unwrap(), expected);
        }
        check("/a?b=c&d", "https://example.test/a?b=c&d");
        check("//evil.test/a", "https://example.test//evil.test/a");
        check("/a?", "https://example.test/a");
    }
}

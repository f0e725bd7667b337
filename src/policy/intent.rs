//! Whether a request is for the cache, for the origin, or answered here.

use http::{Method, StatusCode};

use super::{
    Ask, Caching, Key, Methods, Rules, cors,
    protocol::{self, Verdict},
};
use crate::fields::{hop, section::Fields};

/// What becomes of a request, before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The cache may know the answer, under this key.
    Cache(Key),
    /// Only the origin can answer, and nothing is kept.
    Pass(WhyPass),
    /// The viewer is sent to the same target over HTTPS, with this status.
    Redirect(StatusCode),
    /// A page of another site asks whether it may ask; that is answered here.
    Preflight,
    /// It is answered here.
    Refuse(Refusal),
}

/// Why a request goes straight to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyPass {
    /// `cache = false`.
    CachingOff,
    /// Its method is neither GET nor HEAD.
    Method,
    /// It asks to change protocols.
    Upgrade,
}

impl WhyPass {
    /// The reason in RFC 9211's terms, and in ours.
    pub const fn status(self) -> (&'static str, &'static str) {
        match self {
            Self::CachingOff => ("bypass", "caching-off"),
            Self::Method => ("method", "method"),
            Self::Upgrade => ("bypass", "upgrade"),
        }
    }
}

impl WhyPass {
    /// The clause that says so.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::CachingOff => "cache = false",
            Self::Method => "RFC 9111 §3: what answers this method is not stored",
            Self::Upgrade => "RFC 9110 §7.8: it asks to change protocols",
        }
    }
}

/// Why a request is refused here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The behaviour is served over TLS only; CloudFront's answer is 403.
    HttpsOnly,
    /// The behaviour does not let its method through; CloudFront's answer is 403.
    MethodNotAllowed,
    /// The edge never serves the method: CONNECT and TRACE.
    MethodNotSupported,
    /// A body on a request that the cache may answer: it would be an unkeyed input.
    BodyOnRead,
}

impl Refusal {
    /// The status, and the name of the error in the answer's body.
    pub const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::HttpsOnly => (StatusCode::FORBIDDEN, "https_only"),
            Self::MethodNotAllowed => (StatusCode::FORBIDDEN, "method_not_allowed"),
            Self::MethodNotSupported => (StatusCode::METHOD_NOT_ALLOWED, "method_not_supported"),
            Self::BodyOnRead => (StatusCode::BAD_REQUEST, "body_on_read"),
        }
    }
}

impl Refusal {
    /// The clause that says so.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::HttpsOnly => "the behaviour's `viewer_protocol` leaves plain HTTP out",
            Self::MethodNotAllowed => "the behaviour's `methods` leave it out",
            Self::MethodNotSupported => "RFC 9110 §15.5.6: no resource of ours takes it",
            Self::BodyOnRead => "RFC 9110 §9.3.1: content without a meaning, which no key holds",
        }
    }
}

/// Whether a request asks to go on as a WebSocket, the one protocol that is tunnelled.
///
/// Any other `Upgrade` is dropped: "a server MAY ignore a received Upgrade header field"
/// (RFC 9110 §7.8), and HTTP/2 in a tunnel would carry requests past every rule.
pub fn asks_for_websocket(method: &Method, headers: &impl Fields) -> bool {
    // "The method of the request MUST be GET" (RFC 6455 §4.1).
    *method == Method::GET
        && hop::wants_upgrade(headers)
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Decides what becomes of `ask`.
pub fn intent(ask: &Ask, rules: &Rules) -> Intent {
    if matches!(ask.method, Method::CONNECT | Method::TRACE) {
        return Intent::Refuse(Refusal::MethodNotSupported);
    }
    match protocol::verdict(ask, rules) {
        Verdict::Serve => {}
        Verdict::Redirect(status) => return Intent::Redirect(status),
        Verdict::Refuse => return Intent::Refuse(Refusal::HttpsOnly),
    }
    if rules.viewer.cors.is_some() && cors::is_preflight(ask) {
        return Intent::Preflight;
    }
    let read = matches!(ask.method, Method::GET | Method::HEAD);
    let allowed = match rules.methods {
        Methods::Read => read,
        Methods::ReadOptions => read || ask.method == Method::OPTIONS,
        Methods::All => true,
    };
    if !allowed {
        return Intent::Refuse(Refusal::MethodNotAllowed);
    }
    if rules.caching == Caching::Off {
        return Intent::Pass(WhyPass::CachingOff);
    }
    if !read {
        return Intent::Pass(WhyPass::Method);
    }
    // "content received in a GET request has no generally defined semantics, cannot alter
    // the meaning or target of the request" (RFC 9110 §9.3.1): an origin that reads it all
    // the same would answer by something that no key holds.
    if ask.has_body {
        return Intent::Refuse(Refusal::BodyOnRead);
    }
    if asks_for_websocket(&ask.method, &ask.headers) {
        return Intent::Pass(WhyPass::Upgrade);
    }
    Intent::Cache(rules.key.key(ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, rules};

    #[track_caller]
    fn check(method: &str, rules: &Rules, expected: Result<&str, Refusal>) {
        let mut ask = ask("/a");
        ask.method = method.parse().unwrap();
        let seen = match intent(&ask, rules) {
            Intent::Cache(_) => Ok("cache"),
            Intent::Pass(why) => Ok(why.status().1),
            Intent::Redirect(_) => Ok("redirect"),
            Intent::Preflight => Ok("preflight"),
            Intent::Refuse(why) => Err(why),
        };
        assert_eq!(seen, expected, "{method}");
    }

    #[test]
    fn only_reads_are_for_the_cache() {
        let all = Rules {
            methods: Methods::All,
            ..rules()
        };
        check("GET", &all, Ok("cache"));
        check("HEAD", &all, Ok("cache"));
        check("OPTIONS", &all, Ok("method"));
        check("POST", &all, Ok("method"));
        check("get", &all, Ok("method"));
        check("M-SEARCH", &all, Ok("method"));
    }

    #[test]
    fn methods_outside_the_behaviour_are_refused() {
        let read = Rules {
            methods: Methods::Read,
            ..rules()
        };
        check("OPTIONS", &read, Err(Refusal::MethodNotAllowed));
        check("POST", &rules(), Err(Refusal::MethodNotAllowed));
        check("OPTIONS", &rules(), Ok("method"));
    }

    #[test]
    fn connect_and_trace_are_never_served() {
        let all = Rules {
            methods: Methods::All,
            caching: Caching::Off,
            ..rules()
        };
        check("CONNECT", &all, Err(Refusal::MethodNotSupported));
        check("TRACE", &all, Err(Refusal::MethodNotSupported));
    }

    #[test]
    fn p7_a_body_never_reaches_the_origin_of_a_cached_read() {
        let mut fat = ask("/a");
        fat.has_body = true;
        assert_eq!(intent(&fat, &rules()), Intent::Refuse(Refusal::BodyOnRead));
        let off = Rules {
            caching: Caching::Off,
            ..rules()
        };
        assert_eq!(intent(&fat, &off), Intent::Pass(WhyPass::CachingOff));
    }
}

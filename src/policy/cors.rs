//! Which pages of other sites may read an answer (Fetch, CORS protocol; CloudFront: CORS headers).
//!
//! Decided per request and put on at delivery: the origin of the page is no part of the key,
//! and what one page's browser was told must not answer another's.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::Ask;
use crate::fields::{list, section::Section};

/// A behaviour's answer to the browsers of pages elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may read answers.
    pub origins: Origins,
    /// `Access-Control-Allow-Methods`.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers`, beyond those that need no leave.
    pub headers: Option<HeaderValue>,
    /// `Access-Control-Expose-Headers`, beyond those that need no leave.
    pub expose: Option<HeaderValue>,
    /// Whether cookies and the like may go with the request; never when anybody may ask.
    pub credentials: Credentials,
    /// `Access-Control-Max-Age`: how long a browser remembers a preflight.
    pub max_age: Option<HeaderValue>,
    /// Who wins when the origin sent such fields too.
    pub over: super::response_headers::Over,
}

/// Whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Everybody's.
    Any,
    /// Those that match one of these.
    Listed(Vec<OriginPattern>),
}

/// Whether credentials may go with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// They may.
    Allowed,
    /// They may not.
    Withheld,
}

/// A pattern of web origins: `https://app.example`, `https://*.clinic.example`,
/// `http://localhost:3000`, or `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// Up to the `*`, or all of it.
    before: Box<str>,
    /// Behind the `*`: a dot, a name, perhaps a port.
    after: Option<Box<str>>,
}

/// The longest origin looked at: a scheme, a host, a port.
const ORIGIN_BYTES_MAX: usize = 8 + crate::fields::host::HOST_MAX + 6;

impl OriginPattern {
    /// Reads a pattern; `None` when `text` is none.
    ///
    /// A browser writes scheme and host in lower case, and no port where it is the scheme's,
    /// so that a pattern with capitals, a path or such a port would match nothing.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self {
                before: text.into(),
                after: None,
            });
        }
        let (scheme, rest) = text.split_once("://")?;
        let standard = match scheme {
            "http" => ":80",
            "https" => ":443",
            // The pages of an app's own web view: `capacitor://localhost`.
            other if other.bytes().all(|byte| byte.is_ascii_lowercase()) => ":",
            _ => return None,
        };
        let name = rest.strip_prefix("*.").unwrap_or(rest);
        let (host, _) = crate::fields::host::Host::parse_authority(name).ok()?;
        let port = name.strip_prefix(host.as_str())?;
        if port == standard || port == ":" {
            return None;
        }
        Some(if name.len() == rest.len() {
            Self {
                before: text.into(),
                after: None,
            }
        } else {
            Self {
                before: format!("{scheme}://").into(),
                after: Some(format!(".{name}").into()),
            }
        })
    }

    /// Whether `origin`, as a browser writes it, matches.
    pub fn matches(&self, origin: &[u8]) -> bool {
        let Some(after) = &self.after else {
            return origin == self.before.as_bytes();
        };
        let Some(host) = origin.strip_prefix(self.before.as_bytes()) else {
            return false;
        };
        let labels = host.strip_suffix(after.as_bytes()).unwrap_or_default();
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !labels.is_empty() && labels.iter().all(known)
    }
}

/// What a browser is told; all that a cached answer may say of it falsely.
const FIELDS: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// How many fields an answer gains at most: origin, credentials, exposed fields, and `Vary`.
pub const ADDED_FIELDS_MAX: usize = 4;

/// Whether `name` is one of the fields that [`Cors`] decides.
pub fn is_ours(name: &HeaderName) -> bool {
    FIELDS.contains(name)
}

/// Whether `ask` is a browser's question before the request itself: OPTIONS with an `Origin`
/// and with `Access-Control-Request-Method` (Fetch, CORS-preflight request).
pub fn is_preflight(ask: &Ask) -> bool {
    ask.method == Method::OPTIONS
        && ask.headers.has(header::ORIGIN)
        && ask.headers.has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The origin of the page that asks, where it names one.
pub fn origin(headers: &Section) -> Option<HeaderValue> {
    let origin = headers.sole(header::ORIGIN)?;
    let short = origin.len() <= ORIGIN_BYTES_MAX;
    short.then(|| HeaderValue::from_bytes(origin).ok())?
}

impl Cors {
    /// Gives the answer to a preflight from `origin` its fields; none of them when such pages
    /// may not ask, which is how a browser learns it.
    pub fn preflight(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.allow(origin, headers) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            let lists = [
                (header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers),
                (header::ACCESS_CONTROL_MAX_AGE, &self.max_age),
            ];
            for (name, value) in lists {
                headers.extend(value.clone().map(|value| (name, value)));
            }
        }
    }

    /// Gives an answer to a page of `origin` its fields.
    ///
    /// The origin server's own are dropped, or kept as they are when it wins and sent any: they
    /// may be what it told another page.
    pub fn deliver(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        use super::response_headers::Over;
        match self.over {
            Over::Nothing if FIELDS.iter().any(|name| headers.contains_key(name)) => return,
            Over::Nothing => {}
            Over::Origin => {
                for name in &FIELDS {
                    headers.remove(name);
                }
            }
        }
        if self.allow(origin, headers)
            && let Some(expose) = &self.expose
        {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }

    /// Allows pages of `origin` to read an answer, or does not; says whether.
    ///
    /// Where it depends on the origin, every answer says so in `Vary`, those to nobody in
    /// particular too (Fetch, CORS protocol and HTTP caches). Where it does not, `*` is said to
    /// everybody, so that no copy kept on the way lacks it.
    fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
        let allowed = match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Listed(patterns) => {
                vary_by_origin(headers);
                let listed = |origin: &&HeaderValue| {
                    patterns.iter().any(|one| one.matches(origin.as_bytes()))
                };
                origin.filter(listed).cloned()
            }
        };
        let Some(allowed) = allowed else { return false };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials == Credentials::Allowed {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        true
    }
}

/// Says that an answer depends on `Origin`, unless it does.
fn vary_by_origin(headers: &mut HeaderMap) {
    let said = list::members(headers.get_all(header::VARY))
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"));
    if !said {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{response_headers::Over, tests::fields};

    #[track_caller]
    fn check(pattern: &str, origin: &str, expected: bool) {
        let pattern = OriginPattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(origin.as_bytes()), expected, "{origin}");
    }

    #[test]
    fn an_origin_matches_as_a_whole() {
        check("https://app.example", "https://app.example", true);
        check("https://app.example", "https://app.example.evil", false);
        check("https://app.example", "http://app.example", false);
        check("https://app.example", "https://app.example:8443", false);
        check("http://localhost:3000", "http://localhost:3000", true);
        check("null", "null", true);
        check("https://app.example", "null", false);
    }

    #[test]
    fn a_star_stands_for_labels_and_nothing_else() {
        let pattern = "https://*.clinic.example";
        check(pattern, "https://a.clinic.example", true);
        check(pattern, "https://a.b.clinic.example", true);
        check(pattern, "https://clinic.example", false);
        check(pattern, "https://.clinic.example", false);
        check(pattern, "https://evilclinic.example", false);
        check(pattern, "https://evil.test/.clinic.example", false);
        check(pattern, "https://evil.test#.clinic.example", false);
        check(pattern, "https://a.clinic.example:8443", false);
        check("http://*.local:3000", "http://a.local:3000", true);
    }

    #[test]
    fn a_pattern_that_no_browser_writes_is_none() {
        for text in [
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://*",
            "https://a.*.example",
            "https://",
            "*",
        ] {
            assert_eq!(OriginPattern::parse(text), None, "{text}");
        }
    }

    fn listed(over: Over) -> Cors {
        let patterns = ["https://a.test", "https://b.test"];
        let patterns = patterns.map(|one| OriginPattern::parse(one).unwrap());
        Cors {
            origins: Origins::Listed(patterns.to_vec()),
            methods: HeaderValue::from_static("GET"),
            headers: None,
            expose: Some(HeaderValue::from_static("X-Total")),
            credentials: Credentials::Allowed,
            max_age: None,
            over,
        }
    }

    #[test]
    fn what_the_origin_told_another_page_is_dropped() {
        let told = [("access-control-allow-origin", "https://a.test")];
        let mut seen = fields(&told);
        let page = HeaderValue::from_static("https://evil.test");
        listed(Over::Origin).deliver(Some(&page), &mut seen);
        assert_eq!(seen, fields(&[("vary", "Origin")]));
        let mut seen = fields(&told);
        listed(Over::Nothing).deliver(Some(&page), &mut seen);
        assert_eq!(seen, fields(&told));
    }

    #[test]
    fn vary_is_said_once() {
        let page = HeaderValue::from_static("https://a.test");
        for vary in ["origin", "Accept-Encoding, Origin", "*"] {
            let mut seen = fields(&[("vary", vary)]);
            listed(Over::Origin).deliver(Some(&page), &mut seen);
            assert_eq!(seen.get_all("vary").iter().count(), 1, "{vary}");
            assert_eq!(seen["access-control-allow-origin"], "https://a.test");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let two = fields(&[("origin", "https://a.test"), ("origin", "https://a.test")]);
        assert_eq!(origin(&two.into()), None);
    }
}

//! What HTTP and CloudFront say to do: decisions as functions of facts and time.
//!
//! Nothing here reads a clock, awaits, logs or changes its arguments; every
//! decision is an enum that says all there is to say, its reason included. The
//! daemon obeys them and `explain` prints them, so both always agree.
//!
//! | question | file | source |
//! |---|---|---|
//! | how many requests of one viewer? | `rate` | RFC 6585 §4 |
//! | for the cache, for the origin, or answered here? | `intent` | CloudFront behaviours |
//! | who asks, behind which proxies? | `peer` | X-Forwarded-For |
//! | over TLS only? | `protocol` | CloudFront viewer protocol policy |
//! | what identifies the answer? | `key` | RFC 9111 §2 |
//! | whose directives count? | `control` | RFC 9213 |
//! | may it be stored? | `storable` | RFC 9111 §3, §3.5 |
//! | how long is it fresh, and usable when stale? | `lifetime` | RFC 9111 §4.2.1, RFC 5861 |
//! | how old is it? | `age` | RFC 9111 §4.2.3 |
//! | what can it be invalidated by? | `marks` | RFC 9111 §4.4, RFC 9875 |
//! | what is an invalidation about? | `selector` | CloudFront invalidation paths |
//! | which other queries does it answer? | `search` | draft-ietf-httpbis-no-vary-search |
//! | which stored variant answers? | `variant` | RFC 9111 §4.1 |
//! | may it be used now, or shared now? | `reuse` | RFC 9111 §4 |
//! | how is it validated and refreshed? | `validate` | RFC 9111 §4.3, §3.2 |
//! | the origin answered, or did not: what now? | `settle` | RFC 9111 §4.2.4, §4.3.3 |
//! | does the viewer's own condition hold? | `precondition` | RFC 9110 §13 |
//! | may the edge make other codings of it? | `recode` | CloudFront compressed files |
//! | in which coding does the viewer get it? | `represent` | RFC 9110 §8.4, §12.5.3 |
//! | which bytes of it does the viewer want? | `slice` | RFC 9110 §14 |
//! | what is kept of a part, and what does it answer? | `partial` | RFC 9111 §3.3, §3.4 |
//! | what goes to the origin? | `forward`, `outgoing` | CloudFront origin request policy |
//! | try again? | `failover` | CloudFront origin timeouts |
//! | how is a failure told? | `answer` | RFC 9110 §15.6 |
//! | what goes to the viewer? | `deliver` | RFC 9211 |
//! | and how is a hit's head written? | `lines` | RFC 9112 §4, §5 |
//! | and what is done to it last? | `finish` | CloudFront response headers policy |
//! | with which fields of the behaviour's own? | `response_headers` | CloudFront response headers policy |
//! | may a script of another site read it? | `cors` | Fetch, CORS protocol |
//! | which error is told otherwise, or kept? | `errors` | CloudFront custom error responses |
//! | does a path match a behaviour? | `pattern` | CloudFront path patterns |
//! | what does a successful unsafe request end? | `unsafe_method` | RFC 9111 §4.4 |

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Method, Version};

use crate::{
    fields::{host::Host, section::Section, target},
    time::Timestamp,
};

pub mod age;
pub mod answer;
mod canonical;
pub mod control;
pub mod cors;
pub mod deliver;
pub mod errors;
pub mod failover;
pub mod finish;
pub mod forward;
pub mod intent;
pub mod key;
pub mod lifetime;
pub mod lines;
pub mod marks;
pub mod outgoing;
pub mod partial;
pub mod pattern;
pub mod peer;
pub mod precondition;
pub mod protocol;
pub mod rate;
pub mod recode;
pub mod represent;
pub mod response_headers;
pub mod reuse;
pub mod search;
pub mod selector;
pub mod settle;
pub mod slice;
pub mod storable;
pub mod unsafe_method;
pub mod validate;
pub mod variant;
mod why_not;

pub use cors::Cors;
pub use errors::ErrorAnswer;
pub use failover::Failure;
pub use key::{Key, KeySpec};
pub use peer::ForwardedFor;
pub use protocol::ViewerProtocol;
pub use rate::RateLimit;
pub use response_headers::ResponseHeaders;
pub use settle::Meta;
pub use why_not::WhyNot;

/// How a viewer speaks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What a viewer asks, as every decision sees it: checked, and with one path.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method; unknown ones are kept as they are.
    pub method: Method,
    /// How the viewer reached us.
    pub scheme: Scheme,
    /// The host it asked for, canonical.
    pub host: Host,
    /// The target as sent; [`Ask::path`] and [`Ask::query`] are what counts.
    pub target: target::Target,
    /// The canonical path where it differs from the one sent.
    pub rewritten: Option<Box<str>>,
    /// The viewer's fields.
    pub headers: Section,
    /// Whether a body follows: `Content-Length` above zero, or chunked.
    pub has_body: bool,
    /// The version of the viewer's message.
    pub version: Version,
    /// The viewer's address, as trusted proxies name it.
    pub viewer: SocketAddr,
    /// Who connected: the viewer, or the last proxy before us.
    pub peer: IpAddr,
    /// When its head arrived.
    pub at: Timestamp,
}

impl Ask {
    /// The one path that matching, key and forwarding see.
    pub fn path(&self) -> &str {
        self.rewritten
            .as_deref()
            .unwrap_or_else(|| self.target.path())
    }

    /// The query as sent, without its `?`; `None` and empty mean the same.
    pub fn query(&self) -> Option<&str> {
        self.target.query().filter(|query| !query.is_empty())
    }
}

/// What a behaviour tells the decisions: its TOML, checked and compiled.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The methods that are let through; others are answered 403.
    pub methods: Methods,
    /// Whether answers may be stored and shared at all.
    pub caching: Caching,
    /// Bounds of lifetimes.
    pub ttl: Ttls,
    /// Whether the viewer's `Cache-Control` and `Pragma` count (RFC 9111 §5.2.1).
    pub request_directives: RequestDirectives,
    /// Fields that replace `Cache-Control` for us, in order (RFC 9213).
    pub targeted: Vec<HeaderName>,
    /// How long a stale response may serve when the origin names nothing.
    pub stale: Stale,
    /// What identifies an answer.
    pub key: KeySpec,
    /// What reaches the origin.
    pub forward: Forward,
    /// What `Vary` does.
    pub vary: Vary,
    /// Whether `Cache-Groups` and `Cache-Group-Invalidation` count (RFC 9875).
    pub cache_groups: bool,
    /// Whether `No-Vary-Search` counts (draft-ietf-httpbis-no-vary-search).
    pub no_vary_search: bool,
    /// What it does for viewers by itself.
    pub viewer: ViewerRules,
    /// Whether viewers get stored answers in the coding that they accept.
    pub compress: bool,
    /// Loud relaxations; all off unless an operator wrote them down.
    pub relaxed: Relaxed,
}

/// What a behaviour does for viewers by itself, whatever the origin says; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct ViewerRules {
    /// What becomes of requests that did not come over TLS.
    pub protocol: ViewerProtocol,
    /// How many requests one viewer may ask; `None` is any number.
    pub rate_limit: Option<RateLimit>,
    /// The fields that answers lose and gain.
    pub response: ResponseHeaders,
    /// Who may read answers from another site's pages; `None` leaves it to the origin.
    pub cors: Option<Cors>,
    /// Whether answers say where their time went (Server Timing §3).
    pub server_timing: ServerTiming,
    /// Errors that are told otherwise, or kept, each status at most once.
    pub errors: Vec<ErrorAnswer>,
    /// What the origin is told of who asks.
    pub forwarded_for: ForwardedFor,
}

/// Whether answers carry `Server-Timing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerTiming {
    /// Only the origin's own.
    #[default]
    Off,
    /// Ours: hit or miss, and how long the origin took.
    On,
}

impl ViewerRules {
    /// Whether answers leave as they are.
    pub fn leaves_answers_alone(&self) -> bool {
        self.response.is_empty() && self.cors.is_none() && self.errors.is_empty()
    }

    /// How many fields an answer gains at most, so that a head is made large enough at once.
    pub fn added_fields_max(&self) -> usize {
        let timing = usize::from(self.server_timing == ServerTiming::On);
        let cors = self.cors.as_ref().map_or(0, |_| cors::ADDED_FIELDS_MAX);
        self.response.added_fields_max() + cors + timing
    }
}

/// Which methods a behaviour lets through (CloudFront: allowed methods).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// GET and HEAD.
    Read,
    /// GET, HEAD and OPTIONS.
    ReadOptions,
    /// Every method.
    All,
}

/// Whether a behaviour caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Answers are stored when they may be.
    On,
    /// Never stored, never shared, streamed.
    Off,
}

/// Lifetimes of a behaviour; `min <= max` and `default <= max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ttls {
    /// At least this long, except against `no-store`, `private`, `no-cache`.
    pub min: Duration,
    /// When the origin names no lifetime.
    pub default: Duration,
    /// At most this long, whatever the origin says.
    pub max: Duration,
    /// Share of the age since `Last-Modified`, 0 to 1 (RFC 9111 §4.2.2).
    pub heuristic: f64,
    /// For 404, 410, 414 and 5xx that name no lifetime.
    pub error: Duration,
}

/// Whether the viewer's own directives count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestDirectives {
    /// They do not, as at CloudFront.
    Ignore,
    /// They do, as RFC 9111 §5.2.1 says.
    Honour,
}

/// How long past its lifetime a response may serve (RFC 5861), unless the origin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// While it is refreshed in the background.
    pub while_revalidate: Duration,
    /// While the origin fails.
    pub if_error: Duration,
}

/// A choice among names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection<T> {
    /// Every one.
    All,
    /// None.
    None,
    /// Those listed.
    Only(Vec<T>),
    /// Every one but those listed.
    Except(Vec<T>),
}

impl<T> Selection<T> {
    /// Whether `name` is chosen.
    pub fn takes<N: ?Sized>(&self, name: &N) -> bool
    where
        T: PartialEq<N>,
    {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(names) => names.iter().any(|one| one == name),
            Self::Except(names) => !names.iter().any(|one| one == name),
        }
    }
}

/// What reaches the origin beyond path and body (CloudFront: origin request policy).
#[derive(Clone, Debug)]
pub struct Forward {
    /// Query parameters; those in the key always go.
    pub query: ForwardQuery,
    /// End-to-end fields; those in the key always go.
    pub headers: Selection<HeaderName>,
    /// Cookies; those in the key always go.
    pub cookies: Selection<Vec<u8>>,
}

/// Which query parameters reach the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardQuery {
    /// Those in the key.
    Key,
    /// The query as the viewer sent it.
    All,
    /// Those in the key and these, by decoded name.
    KeyAnd(Vec<Vec<u8>>),
}

/// What the origin's `Vary` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vary {
    /// A secondary key (RFC 9111 §4.1).
    Rfc,
    /// Nothing that varies by an unkeyed field is stored.
    Refuse,
}

/// Relaxations that can leak; each is a loud key of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relaxed {
    /// `unsafe_ttl_min_overrides_origin`: `ttl.min` wins over `no-store`, `private`, `no-cache`.
    pub ttl_min_overrides_origin: bool,
    /// `unsafe_store_set_cookie`: answers with `Set-Cookie` are stored and replayed.
    pub store_set_cookie: bool,
    /// `unsafe_share_authorized`: answers to credentials are stored without the origin's leave.
    pub share_authorized: bool,
}

/// Where a behaviour's requests go, as forwarding needs to know it.
#[derive(Clone, Debug)]
pub struct Target {
    /// `Host` towards the origin: its name, and its port where that is not the scheme's.
    pub authority: HeaderValue,
    /// Put before the path; empty or `/…` without a final slash.
    pub prefix: String,
    /// Set on every request, overwriting the viewer's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::policy::key::Scope;

    /// Sun, 22 Nov 2026 12:00:00 GMT.
    pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_348_800);

    /// A GET of `target` on `example.test`, its path taken as canonical.
    pub(crate) fn ask(target: &str) -> Ask {
        Ask {
            method: Method::GET,
            scheme: Scheme::Http,
            host: Host::parse_authority(b"example.test").unwrap().0,
            target: target::Target::parse(target).unwrap(),
            rewritten: None,
            headers: Section::default(),
            has_body: false,
            version: Version::HTTP_11,
            viewer: SocketAddr::from(([192, 0, 2, 1], 4711)),
            peer: IpAddr::from([192, 0, 2, 1]),
            at: NOW,
        }
    }

    /// The defaults of a behaviour, but nothing served stale.
    pub(crate) fn rules() -> Rules {
        Rules {
            methods: Methods::ReadOptions,
            caching: Caching::On,
            ttl: Ttls {
                min: Duration::ZERO,
                default: Duration::ZERO,
                max: Duration::from_secs(365 * 86_400),
                heuristic: 0.0,
                error: Duration::ZERO,
            },
            request_directives: RequestDirectives::Ignore,
            targeted: Vec::new(),
            stale: Stale {
                while_revalidate: Duration::ZERO,
                if_error: Duration::ZERO,
            },
            key: KeySpec {
                scope: Scope::new("test", "*"),
                query: Selection::All,
                sort: true,
                headers: Vec::new(),
                cookies: Vec::new(),
            },
            forward: Forward {
                query: ForwardQuery::Key,
                headers: Selection::All,
                cookies: Selection::All,
            },
            vary: Vary::Rfc,
            cache_groups: true,
            no_vary_search: false,
            viewer: ViewerRules::default(),
            compress: true,
            relaxed: Relaxed::default(),
        }
    }

    /// A header map of these fields, repeated names kept.
    pub(crate) fn fields(named: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in named {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }
}

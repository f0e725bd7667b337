//! What identifies an answer: the cache key (RFC 9111 §2; CloudFront: cache key).
//!
//! A key is 128 bits of a cryptographic hash over typed, length-prefixed parts:
//! no separator can be forged, and no stranger can aim at another's key. It is
//! the same in every process, for a disk and for a cluster.
//!
//! Two spellings share a key only where RFC 3986 §6.2.2 says that they are one:
//! merging more would let one request poison another's answer, merging less
//! only costs a miss.

use std::{borrow::Cow, fmt};

use http::HeaderName;
use smallvec::SmallVec;

use super::{Ask, Scheme, Selection, canonical::Canonical};
use crate::fields::{
    cookie,
    query::{self, Piece},
    search::Variance,
};

/// What a behaviour keys its answers on, besides scheme, host and path.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Distribution and behaviour, so that two of them never share an answer.
    pub scope: Scope,
    /// The kept query parameters, by decoded name; case counts.
    pub query: Selection<Vec<u8>>,
    /// Whether kept parameters are sorted by name; repeated ones keep their order.
    pub sort: bool,
    /// Fields in the key; always forwarded.
    pub headers: Vec<HeaderName>,
    /// Cookies in the key, by name; always forwarded.
    pub cookies: Vec<Vec<u8>>,
}

/// The part of a key that its behaviour fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The distribution's id.
    pub distribution: String,
    /// The behaviour's path pattern.
    pub behaviour: String,
    /// How every key in it begins, by scheme: made once, and not for each request.
    fronts: [Box<[u8]>; 2],
}

impl Scope {
    /// The one of `behaviour`, a path pattern, of the distribution with this id.
    pub fn new(distribution: impl Into<String>, behaviour: impl Into<String>) -> Self {
        let (distribution, behaviour) = (distribution.into(), behaviour.into());
        let front = |scheme: Scheme| {
            let mut front = Canonical::default();
            front.push(Part::Distribution, distribution.as_bytes());
            front.push(Part::Behaviour, behaviour.as_bytes());
            front.push(Part::Scheme, scheme.as_str().as_bytes());
            front.as_bytes().into()
        };
        Self {
            fronts: [front(Scheme::Http), front(Scheme::Https)],
            distribution,
            behaviour,
        }
    }

    fn front(&self, scheme: Scheme) -> &[u8] {
        let [http, https] = &self.fronts;
        match scheme {
            Scheme::Http => http,
            Scheme::Https => https,
        }
    }
}

/// 128 bits that name one answer, all its variants included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

impl Key {
    /// Names a subset of the requests with this key: those for which something else is
    /// `salt` too.
    pub const fn among(self, salt: u128) -> Self {
        Self(self.0 ^ salt)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a part of a key is; its number separates it from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Part {
    /// The distribution's id.
    Distribution = 1,
    /// The behaviour's path pattern.
    Behaviour,
    /// `http` or `https`.
    Scheme,
    /// The canonical host.
    Host,
    /// The canonical path.
    Path,
    /// A kept query parameter, `name=value`.
    Query,
    /// The name of a keyed field; its values follow.
    Header,
    /// One value of the field before.
    HeaderValue,
    /// The name of a keyed cookie; its values follow.
    Cookie,
    /// One value of the cookie before.
    CookieValue,
    /// What counts of the query, where the origin said so.
    Search,
}

/// 128 bits of a cryptographic hash.
pub(super) fn hash(canonical: &[u8]) -> u128 {
    let hash = blake3::hash(canonical);
    let half = hash.as_bytes().first_chunk();
    half.map_or(0, |half| u128::from_be_bytes(*half))
}

/// The hash of some parts, none of which can run into the next.
pub(super) fn digest<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut canonical = SmallVec::<[u8; 128]>::new();
    for part in parts {
        canonical.extend_from_slice(&(part.len() as u32).to_le_bytes());
        canonical.extend_from_slice(part);
    }
    hash(&canonical)
}

impl KeySpec {
    /// The key of `ask`.
    pub fn key(&self, ask: &Ask) -> Key {
        self.hashed(ask, |_| true, |_| {})
    }

    /// The same, whatever the keyed fields and cookies are: what names a target.
    pub fn target(&self, ask: &Ask) -> Key {
        self.hashed(ask, |part| part <= Part::Query, |_| {})
    }

    /// The key of `ask` where only what `variance` leaves of the kept parameters counts.
    pub fn key_under(&self, ask: &Ask, variance: &Variance) -> Key {
        let kept = query::pieces(ask.query().unwrap_or_default()).filter(|piece| self.keeps(piece));
        let mut search = Vec::new();
        variance.write(kept, &mut search);
        let searched = |canonical: &mut Canonical| canonical.push(Part::Search, &search);
        self.hashed(ask, |part| part != Part::Query, searched)
    }

    /// The key of every query of the path of `ask`.
    pub fn path(&self, ask: &Ask) -> Key {
        self.hashed(ask, |part| part != Part::Query, |_| {})
    }

    /// The key of the parts of `ask` that are `counted`, and of what `more` appends.
    #[inline]
    fn hashed(
        &self,
        ask: &Ask,
        counted: impl Fn(Part) -> bool,
        more: impl FnOnce(&mut Canonical),
    ) -> Key {
        let mut canonical = Canonical::default();
        canonical.join(self.scope.front(ask.scheme));
        self.visit_own(ask, |part, bytes| {
            if counted(part) {
                canonical.push(part, bytes);
            }
        });
        more(&mut canonical);
        Key(hash(canonical.as_bytes()))
    }

    /// Hands the parts of the key of `ask` to `each`, in their fixed order.
    pub fn visit(&self, ask: &Ask, mut each: impl FnMut(Part, &[u8])) {
        each(Part::Distribution, self.scope.distribution.as_bytes());
        each(Part::Behaviour, self.scope.behaviour.as_bytes());
        each(Part::Scheme, ask.scheme.as_str().as_bytes());
        self.visit_own(ask, each);
    }

    /// The same without what the scope and the scheme say.
    fn visit_own(&self, ask: &Ask, mut each: impl FnMut(Part, &[u8])) {
        each(Part::Host, ask.host.as_bytes());
        each(Part::Path, ask.path().as_bytes());
        if let Some(query) = ask.query() {
            self.visit_query(query, &mut each);
        }
        for name in &self.headers {
            // The name is there even without a value: absent and empty differ.
            each(Part::Header, name.as_str().as_bytes());
            for value in ask.headers.get_all(name) {
                each(Part::HeaderValue, value);
            }
        }
        for name in &self.cookies {
            each(Part::Cookie, name);
            for (_, value) in cookie::pairs(ask.headers.get_all(http::header::COOKIE))
                .filter(|(cookie, _)| cookie == name)
            {
                each(Part::CookieValue, value);
            }
        }
    }

    /// Hands the kept pieces of `query` to `each`, canonical and in their fixed order.
    pub(super) fn visit_query(&self, query: &str, each: &mut impl FnMut(Part, &[u8])) {
        if self.query == Selection::None {
            return;
        }
        // Each name is decoded once, however often it is compared.
        let mut kept = SmallVec::<[(Cow<'_, [u8]>, Piece<'_>); 16]>::new();
        for piece in query::pieces(query) {
            let name = piece.name();
            if self.query.takes(&*name) {
                kept.push((name, piece));
            }
        }
        if self.sort && kept.len() > 1 {
            kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let mut canonical = SmallVec::<[u8; 64]>::new();
        for (_, piece) in &kept {
            if !piece.is_escaped() {
                each(Part::Query, piece.raw.as_bytes());
                continue;
            }
            canonical.clear();
            piece.write_canonical(|bytes| canonical.extend_from_slice(bytes));
            each(Part::Query, &canonical);
        }
    }

    /// Whether a query parameter is in the key.
    ///
    /// Names are compared decoded, as an origin will read them: `%71=1` is a `q`.
    pub fn keeps(&self, piece: &Piece<'_>) -> bool {
        match &self.query {
            Selection::All => true,
            Selection::None => false,
            chosen => chosen.takes(&*piece.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, rules};

    fn spec(query: Selection<Vec<u8>>) -> KeySpec {
        KeySpec {
            query,
            ..rules().key
        }
    }

    fn only(names: &[&str]) -> Selection<Vec<u8>> {
        Selection::Only(names.iter().map(|name| name.as_bytes().to_vec()).collect())
    }

    #[track_caller]
    fn check(spec: &KeySpec, one: &str, other: &str, same: bool) {
        let (a, b) = (spec.key(&ask(one)), spec.key(&ask(other)));
        assert_eq!(a == b, same, "{one} and {other}");
    }

    #[test]
    fn parameters_outside_the_list_do_not_split() {
        let spec = spec(only(&["q", "page"]));
        check(&spec, "/a?q=1&utm=x", "/a?q=1&utm=y", true);
        check(&spec, "/a?q=1", "/a?utm=x&q=1", true);
        check(&spec, "/a?q=1", "/a?q=2", false);
        check(&spec, "/a?q=1", "/a", false);
    }

    #[test]
    fn kept_parameters_are_sorted_and_repeated_ones_keep_their_order() {
        let all = spec(Selection::All);
        check(&all, "/a?b=2&a=1", "/a?a=1&b=2", true);
        check(&all, "/a?q=1&q=2", "/a?q=2&q=1", false);
        check(&all, "/a?q=1&b=0&q=2", "/a?b=0&q=1&q=2", true);
        let unsorted = KeySpec { sort: false, ..all };
        check(&unsorted, "/a?b=2&a=1", "/a?a=1&b=2", false);
    }

    #[test]
    fn only_equivalent_spellings_share() {
        let spec = spec(only(&["q"]));
        check(&spec, "/a?q=%41", "/a?q=A", true);
        check(&spec, "/a?%71=1", "/a?q=1", true);
        check(&spec, "/a?%71=1", "/a", false);
        check(&spec, "/a?Q=1", "/a?q=1", false);
        check(&spec, "/a?q=1;page=2", "/a?q=1", false);
        check(&spec, "/a?q=a%2Fb", "/a?q=a/b", false);
        check(&spec, "/a?q=a+b", "/a?q=a%20b", false);
    }

    #[test]
    fn an_empty_query_is_none() {
        let all = spec(Selection::All);
        check(&all, "/a?", "/a", true);
        check(&all, "/a?&&", "/a", true);
        check(&all, "/a?q", "/a?q=", false);
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let all = spec(Selection::All);
        check(&all, "/a?b=1%26c=2", "/a?b=1&c=2", false);
        check(&all, "/ab", "/a?b", false);
    }

    #[test]
    fn hosts_schemes_and_behaviours_are_apart() {
        let all = spec(Selection::All);
        let plain = ask("/a");
        let mut other = plain.clone();
        other.scheme = Scheme::Https;
        assert_ne!(all.key(&plain), all.key(&other));
        let scoped = |distribution: &str| KeySpec {
            scope: Scope::new(distribution, "*"),
            ..all.clone()
        };
        assert_ne!(scoped("a").key(&plain), scoped("b").key(&plain));
    }

    #[test]
    fn a_key_is_of_all_its_parts() {
        let all = spec(Selection::All);
        for scheme in [Scheme::Http, Scheme::Https] {
            let mut ask = ask("/a?b=1");
            ask.scheme = scheme;
            let mut whole = Canonical::default();
            all.visit(&ask, |part, bytes| whole.push(part, bytes));
            assert_eq!(all.key(&ask), Key(hash(whole.as_bytes())));
        }
    }

    #[test]
    fn an_absent_field_is_not_an_empty_one() {
        let name = HeaderName::from_static("x-tenant");
        let spec = KeySpec {
            headers: vec![name.clone()],
            ..spec(Selection::None)
        };
        let (without, mut with) = (ask("/a"), ask("/a"));
        with.headers
            .insert(name, http::HeaderValue::from_static(""));
        assert_ne!(spec.key(&without), spec.key(&with));
    }

    #[test]
    fn only_the_named_cookies_count() {
        let spec = KeySpec {
            cookies: vec![b"plan".to_vec()],
            ..spec(Selection::None)
        };
        let with = |cookie: &'static str| {
            let mut ask = ask("/a");
            ask.headers
                .insert(http::header::COOKIE, http::HeaderValue::from_static(cookie));
            spec.key(&ask)
        };
        assert_eq!(with("plan=a; session=1"), with("session=2; plan=a"));
        assert_ne!(with("plan=a"), with("plan=b"));
    }
}

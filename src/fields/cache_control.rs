//! Cache-Control, of responses and of requests (RFC 9111 §5.2, RFC 5861, RFC 8246).
//!
//! Reading is tolerant of form and cautious of content. Unknown directives are
//! ignored. Of a known one that is malformed, the strictest meaning is taken: a
//! lifetime becomes zero, a qualified `no-cache` covers the whole response, and
//! what would *permit* something is void.

use std::fmt;

use http::HeaderName;

use super::{
    directive::{Argument, Directive},
    list, trim,
};

/// What one Cache-Control field says. The default says nothing.
///
/// Seconds are at most [`super::DELTA_SECONDS_MAX`]. A directive that is there
/// with an unusable argument is `Some(0)`: "Caches are encouraged to consider
/// responses that have invalid freshness information (e.g., a max-age directive
/// with non-integer content) to be stale" (RFC 9111 §4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Seconds that a response stays fresh, or the greatest age a request takes.
    pub max_age: Option<u32>,
    /// Seconds that a response stays fresh in a shared cache; beats `max_age`.
    pub s_maxage: Option<u32>,
    /// Seconds past expiry in which a stale response may be served while it is
    /// revalidated (RFC 5861 §3).
    pub stale_while_revalidate: Option<u32>,
    /// Seconds past expiry in which a stale response may stand in for an error
    /// (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
    /// Seconds of freshness that a request wants left.
    pub min_fresh: Option<u32>,
    /// How stale a response a request takes.
    pub max_stale: Option<MaxStale>,
    /// Nothing of this may be stored.
    pub no_store: bool,
    /// Not to be used stale, whatever else allows it.
    pub must_revalidate: bool,
    /// As `must_revalidate`, for shared caches.
    pub proxy_revalidate: bool,
    /// To be stored only by a cache that knows the status; then `no_store` is
    /// for caches that do not.
    pub must_understand: bool,
    /// May be stored although something else forbids it.
    pub public: bool,
    /// Will not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// The content must be passed on as it is.
    pub no_transform: bool,
    /// The request wants a stored response or 504.
    pub only_if_cached: bool,
    /// Not to be used without validation: the response, or these fields of it.
    pub no_cache: Option<Scope>,
    /// For one viewer only: the response, or these fields of it.
    pub private: Option<Scope>,
}

/// The argument of `max-stale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// "If no value is assigned to max-stale, then the client will accept a
    /// stale response of any age."
    Any,
    /// Up to so many seconds past expiry.
    Seconds(u32),
}

/// What `no-cache` or `private` covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole response. Also when the list of fields is empty or unreadable.
    All,
    /// These fields; never empty.
    Fields(Vec<HeaderName>),
}

impl Directives {
    /// Reads all lines of a Cache-Control field.
    ///
    /// Of a repeated directive the first valid value counts: "either the first
    /// occurrence should be used or the response should be considered stale"
    /// (RFC 9111 §4.2.1). Repeated scopes add up.
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    ) -> Self {
        let mut seen = Self::default();
        let mut invalid = Self::default();
        for member in list::members(values) {
            let directive = Directive::read(member);
            seen.take(&directive, &mut invalid);
            if directive.is_malformed() {
                // A quote in the wrong place, or never closed, hides no `no-store`.
                for piece in member.split(|&byte| byte == b',' || byte == b'"') {
                    seen.forbid(&Directive::read(trim(piece)).name, Scope::All);
                }
            }
        }
        seen.or(invalid)
    }

    /// Whether it names a lifetime: `max-age` or `s-maxage`, valid or not.
    pub fn has_lifetime(&self) -> bool {
        self.max_age.is_some() || self.s_maxage.is_some()
    }

    fn take(&mut self, directive: &Directive<'_>, invalid: &mut Self) {
        let Directive { name, argument } = directive;
        let (seconds, is_absent) = (argument.seconds(), matches!(argument, Argument::Absent));
        let is_max_stale = name.as_slice() == b"max-stale";
        let is_valid = seconds.is_some() || (is_absent && is_max_stale);
        let into = if is_valid { &mut *self } else { invalid };
        if let Some(slot) = into.seconds_mut(name) {
            slot.get_or_insert(seconds.unwrap_or(0));
        } else if is_max_stale {
            let unnumbered = if is_absent {
                MaxStale::Any
            } else {
                MaxStale::Seconds(0)
            };
            let stale = seconds.map_or(unnumbered, MaxStale::Seconds);
            into.max_stale.get_or_insert(stale);
        } else if let Some(permitted) = self.permits_mut(name) {
            // None of these defines an argument: with one it is another
            // directive, which we do not know.
            *permitted |= is_absent;
        } else {
            self.forbid(name, argument.scope());
        }
    }

    /// Takes a directive that forbids something, which counts whatever its
    /// argument; others are ignored.
    pub(super) fn forbid(&mut self, name: &[u8], scope: Scope) {
        match name {
            b"no-store" => self.no_store = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"no-cache" => Scope::widen(&mut self.no_cache, scope),
            b"private" => Scope::widen(&mut self.private, scope),
            _ => {}
        }
    }

    /// The directive of that name, if it allows something.
    pub(super) fn permits_mut(&mut self, name: &[u8]) -> Option<&mut bool> {
        match name {
            b"public" => Some(&mut self.public),
            b"immutable" => Some(&mut self.immutable),
            b"must-understand" => Some(&mut self.must_understand),
            _ => None,
        }
    }

    /// The directive of that name, if it needs a number of seconds.
    pub(super) fn seconds_mut(&mut self, name: &[u8]) -> Option<&mut Option<u32>> {
        match name {
            b"max-age" => Some(&mut self.max_age),
            b"s-maxage" => Some(&mut self.s_maxage),
            b"stale-while-revalidate" => Some(&mut self.stale_while_revalidate),
            b"stale-if-error" => Some(&mut self.stale_if_error),
            b"min-fresh" => Some(&mut self.min_fresh),
            _ => None,
        }
    }

    /// Fills what has no valid value with what was there but invalid.
    fn or(self, invalid: Self) -> Self {
        Self {
            max_age: self.max_age.or(invalid.max_age),
            s_maxage: self.s_maxage.or(invalid.s_maxage),
            stale_while_revalidate: self
                .stale_while_revalidate
                .or(invalid.stale_while_revalidate),
            stale_if_error: self.stale_if_error.or(invalid.stale_if_error),
            min_fresh: self.min_fresh.or(invalid.min_fresh),
            max_stale: self.max_stale.or(invalid.max_stale),
            ..self
        }
    }
}

impl fmt::Display for Directives {
    /// A field value that reads back as the same directives.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut put = |text: fmt::Arguments<'_>| {
            let before = std::mem::replace(&mut separator, ", ");
            write!(f, "{before}{text}")
        };
        let flags = [
            (self.no_store, "no-store"),
            (self.must_revalidate, "must-revalidate"),
            (self.proxy_revalidate, "proxy-revalidate"),
            (self.must_understand, "must-understand"),
            (self.public, "public"),
            (self.immutable, "immutable"),
            (self.no_transform, "no-transform"),
            (self.only_if_cached, "only-if-cached"),
        ];
        for (_, name) in flags.iter().filter(|(set, _)| *set) {
            put(format_args!("{name}"))?;
        }
        for (scope, name) in [(&self.no_cache, "no-cache"), (&self.private, "private")] {
            match scope {
                None => {}
                Some(Scope::All) => put(format_args!("{name}"))?,
                Some(Scope::Fields(fields)) => {
                    let fields: Vec<_> = fields.iter().map(HeaderName::as_str).collect();
                    put(format_args!("{name}=\"{}\"", fields.join(", ")))?;
                }
            }
        }
        let numbers = [
            (self.max_age, "max-age"),
            (self.s_maxage, "s-maxage"),
            (self.stale_while_revalidate, "stale-while-revalidate"),
            (self.stale_if_error, "stale-if-error"),
            (self.min_fresh, "min-fresh"),
        ];
        for (seconds, name) in numbers {
            if let Some(seconds) = seconds {
                put(format_args!("{name}={seconds}"))?;
            }
        }
        match self.max_stale {
            None => Ok(()),
            Some(MaxStale::Any) => put(format_args!("max-stale")),
            Some(MaxStale::Seconds(seconds)) => put(format_args!("max-stale={seconds}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::{option, prelude::*};

    use super::*;

    fn parse(lines: &[&str]) -> Directives {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        Directives::parse(&values)
    }

    fn fields(names: &[&'static str]) -> Option<Scope> {
        Some(Scope::Fields(
            names.iter().copied().map(HeaderName::from_static).collect(),
        ))
    }

    #[test]
    fn a_lifetime_is_digits_or_zero() {
        #[track_caller]
        fn check(line: &str, wanted: Option<u32>) {
            assert_eq!(parse(&[line]).max_age, wanted, "{line}");
        }
        check("max-age=3600", Some(3600));
        check("MaX-aGe=3600", Some(3600));
        check("max-age=003600", Some(3600));
        check("max-age=\"3600\"", Some(3600));
        check("max-age=99999999999", Some(super::super::DELTA_SECONDS_MAX));
        check("foobar, max-age=3600", Some(3600));
        for argument in [
            "", "=", "=-3600", "='3600'", "=3600.0", "=a3600", "=3600a", "=\"\"",
        ] {
            check(&format!("max-age{argument}"), Some(0));
        }
        check("max-age =3600", Some(0));
        check("max-age= 3600", Some(0));
        check("max-age=\"3600", Some(0));
        check("x-max-age=3600", None);
        check("", None);
    }

    #[test]
    fn the_first_valid_value_counts() {
        assert_eq!(parse(&["max-age=1800, max-age=1"]).max_age, Some(1800));
        assert_eq!(parse(&["max-age=1", "max-age=1800"]).max_age, Some(1));
        assert_eq!(parse(&["max-age=x, max-age=60"]).max_age, Some(60));
        assert_eq!(
            parse(&["max-stale=x, max-stale"]).max_stale,
            Some(MaxStale::Any)
        );
    }

    #[test]
    fn a_quoted_string_is_opaque() {
        #[track_caller]
        fn check(line: &str, max_age: u32) {
            let seen = parse(&[line]);
            assert_eq!(
                seen,
                Directives {
                    max_age: Some(max_age),
                    ..Directives::default()
                }
            );
        }
        check("extension=\"max-age=3600\", max-age=1", 1);
        check("max-age=1, extension=\"max-age=3600, no-store\"", 1);
    }

    #[test]
    fn an_open_quote_hides_nothing_that_forbids() {
        let seen = parse(&["extension=\"x, no-store, private=\"a\", public, max-age=9"]);
        assert!(seen.no_store && !seen.public);
        assert_eq!((seen.private, seen.max_age), (Some(Scope::All), None));
        for line in [
            "foo\"bar, no-store",
            "\"foo, no-store",
            "a\"b=c, no-store\"",
            "max-age=\"9,no-store",
        ] {
            assert!(parse(&[line]).no_store, "{line}");
        }
    }

    #[test]
    fn every_name_is_known() {
        let seen = parse(&[
            "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4, min-fresh=5",
            "max-stale=6, no-store, must-revalidate, proxy-revalidate, must-understand, public",
            "immutable, no-transform, only-if-cached, no-cache, private",
        ]);
        let wanted = Directives {
            max_age: Some(1),
            s_maxage: Some(2),
            stale_while_revalidate: Some(3),
            stale_if_error: Some(4),
            min_fresh: Some(5),
            max_stale: Some(MaxStale::Seconds(6)),
            no_store: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            public: true,
            immutable: true,
            no_transform: true,
            only_if_cached: true,
            no_cache: Some(Scope::All),
            private: Some(Scope::All),
        };
        assert_eq!(seen, wanted);
        assert!(seen.has_lifetime());
    }

    #[test]
    fn a_scope_names_fields_or_covers_all() {
        #[track_caller]
        fn check(line: &str, wanted: Option<Scope>) {
            assert_eq!(parse(&[line]).no_cache, wanted, "{line}");
        }
        check("no-cache", Some(Scope::All));
        check("no-cache=\"Set-Cookie, X\"", fields(&["set-cookie", "x"]));
        check("no-cache=Set-Cookie", fields(&["set-cookie"]));
        check("no-cache=\"a\", no-cache=\"b\"", fields(&["a", "b"]));
        check("no-cache=\"a\", no-cache", Some(Scope::All));
        check("no-cache, no-cache=\"a\"", Some(Scope::All));
        for argument in ["", "\"\"", "\" , \"", "\"a b\"", "\"a", "a b", " \"a\""] {
            check(&format!("no-cache={argument}"), Some(Scope::All));
        }
        check("no-cached", None);
    }

    #[test]
    fn an_argument_voids_what_permits_and_not_what_forbids() {
        let seen = parse(&["public=1, immutable=\"x\", must-understand=, no-store=1, private=0 0"]);
        let wanted = Directives {
            no_store: true,
            private: Some(Scope::All),
            ..Directives::default()
        };
        assert_eq!(seen, wanted);
    }

    #[test]
    fn max_stale_may_stand_alone() {
        assert_eq!(parse(&["max-stale"]).max_stale, Some(MaxStale::Any));
        assert_eq!(
            parse(&["max-stale=60"]).max_stale,
            Some(MaxStale::Seconds(60))
        );
        assert_eq!(parse(&["max-stale="]).max_stale, Some(MaxStale::Seconds(0)));
    }

    fn seconds() -> impl Strategy<Value = Option<u32>> {
        option::of(0..=super::super::DELTA_SECONDS_MAX)
    }

    fn scope() -> impl Strategy<Value = Option<Scope>> {
        let name = "[a-z][a-z-]{0,8}".prop_map(|name| name.parse().unwrap());
        let some = prop_oneof![
            Just(Scope::All),
            prop::collection::vec(name, 1..4).prop_map(Scope::Fields)
        ];
        option::of(some)
    }

    prop_compose! {
        fn directives()(
            flags: [bool; 8],
            [max_age, s_maxage, stale_while_revalidate, stale_if_error, min_fresh, stale] in
                [seconds(), seconds(), seconds(), seconds(), seconds(), seconds()],
            [no_cache, private] in [scope(), scope()],
        ) -> Directives {
            let [no_store, must_revalidate, proxy_revalidate, must_understand, ..] = flags;
            let [.., public, immutable, no_transform, only_if_cached] = flags;
            Directives {
                max_age, s_maxage, stale_while_revalidate, stale_if_error, min_fresh,
                max_stale: stale.map(|s| if s % 2 == 0 { MaxStale::Any } else { MaxStale::Seconds(s) }),
                no_store, must_revalidate, proxy_revalidate, must_understand,
                public, immutable, no_transform, only_if_cached, no_cache, private,
            }
        }
    }

    proptest! {
        #[test]
        fn directives_read_back_as_printed(wanted in directives()) {
            let line = wanted.to_string();
            prop_assert_eq!(parse(&[&line]), wanted);
        }

        #[test]
        fn no_value_panics(text: Vec<u8>, near in "[a-z=\",\\\\ -]{0,40}") {
            for text in [text.as_slice(), near.as_bytes()] {
                let _ = HeaderValue::from_bytes(text).map(|value| Directives::parse([&value]));
            }
        }
    }
}

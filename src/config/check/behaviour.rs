//! Behaviours: a path, an origin, and the rules the decisions go by.

use std::time::Duration;

use http::HeaderName;

use crate::{
    config::{
        check::{BehaviourPart, Check, names, origin::Seen, quoted},
        problem::Place,
        raw,
        read::{At, Choice},
        spelling,
        units::{self, DURATION_SECONDS_MAX},
    },
    policy::{
        Caching, Forward, ForwardQuery, KeySpec, Methods, Relaxed, RequestDirectives, Rules,
        Selection, Stale, Ttls, Vary, key::Scope, pattern::PathPattern,
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TTL_MAX: Duration = Duration::from_secs(365 * DAY.as_secs());
const STALE_IF_ERROR: Duration = Duration::from_secs(60 * 60);
const TARGETED: [HeaderName; 2] = [
    HeaderName::from_static("warmfront-cache-control"),
    HeaderName::from_static("cdn-cache-control"),
];

impl Check<'_> {
    /// `None` when its path or origin could not be read.
    pub(super) fn behaviour(
        &mut self,
        raw: &raw::Behaviour,
        place: &Place,
        distribution: &str,
        origins: &[Seen],
    ) -> Option<BehaviourPart> {
        let path = self.path(raw.path.as_ref(), place);
        let origin = self.origin_named(raw.origin.as_ref(), place, origins);
        let behaviour = path.as_ref().map_or("", PathPattern::as_str);
        let scope = Scope::new(distribution, behaviour);
        let rules = self.rules(raw, scope);
        self.advise(raw, place, &rules);
        Some(BehaviourPart {
            path: path?,
            origin: origin?,
            rules,
        })
    }

    fn path(&mut self, field: Option<&At<String>>, table: &Place) -> Option<PathPattern> {
        let field = self.required(field, table, "path", "*")?;
        match PathPattern::parse(&field.value) {
            Ok(path) => Some(path),
            Err(bad) => {
                self.findings.error(&field.place, bad.to_string());
                let hint = "write a path; `*` stands for any characters and `?` for one";
                self.findings.hint(hint);
                None
            }
        }
    }

    fn origin_named(
        &mut self,
        field: Option<&At<String>>,
        table: &Place,
        origins: &[Seen],
    ) -> Option<usize> {
        let At { value: name, place } = self.required(field, table, "origin", "api")?;
        let found = origins.iter().position(|origin| origin.id == *name);
        // An origin whose own id could not be read may well be the one that is meant.
        if found.is_none() && origins.iter().all(|origin| !origin.id.is_empty()) {
            let ids: Vec<&str> = origins.iter().map(|origin| &*origin.id).collect();
            let hint = match spelling::nearest(name, ids.iter().copied()) {
                _ if ids.is_empty() => "no origin is defined".to_owned(),
                Some(near) if ids.len() > 1 => {
                    format!("did you mean {near:?}? defined: {}", quoted(&ids))
                }
                _ => format!("defined: {}", quoted(&ids)),
            };
            self.findings
                .error(place, format!("no origin named {name:?}"))
                .hint(hint);
        }
        found
    }

    fn rules(&mut self, raw: &raw::Behaviour, scope: Scope) -> Rules {
        let on = |flag: &Option<At<bool>>, default| flag.as_ref().map_or(default, |at| at.value);
        let caching = if on(&raw.cache, true) {
            Caching::On
        } else {
            Caching::Off
        };
        let methods = match caching {
            Caching::On => Methods::ReadOptions,
            Caching::Off => Methods::All,
        };
        let methods_known = [
            ("read", Methods::Read),
            ("read+options", Methods::ReadOptions),
            ("all", Methods::All),
        ];
        let directives_known = [
            ("ignore", RequestDirectives::Ignore),
            ("honour", RequestDirectives::Honour),
        ];
        let directives = raw.request_directives.as_ref();
        let vary_known = [("rfc", Vary::Rfc), ("refuse", Vary::Refuse)];
        let methods = self.word(raw.methods.as_ref(), &methods_known, methods);
        Rules {
            methods,
            caching,
            ttl: self.ttl(raw.ttl.as_ref()),
            request_directives: self.word(directives, &directives_known, RequestDirectives::Ignore),
            targeted: self.targeted(raw.targeted.as_ref()),
            stale: self.stale(raw.stale.as_ref()),
            key: self.key(raw.key.as_ref(), scope),
            forward: self.forward(raw.forward.as_ref()),
            vary: self.word(raw.vary.as_ref(), &vary_known, Vary::Rfc),
            cache_groups: on(&raw.cache_groups, true),
            no_vary_search: on(&raw.no_vary_search, false),
            viewer: self.viewer(raw, methods),
            compress: on(&raw.compress, true),
            relaxed: Relaxed {
                ttl_min_overrides_origin: on(&raw.unsafe_ttl_min_overrides_origin, false),
                store_set_cookie: on(&raw.unsafe_store_set_cookie, false),
                share_authorized: on(&raw.unsafe_share_authorized, false),
            },
        }
    }

    /// Lifetimes, with min ≤ default ≤ max as CloudFront has it. A default that is
    /// not written is 0, lifted to `min`: only what is written can contradict.
    fn ttl(&mut self, raw: Option<&At<raw::Ttl>>) -> Ttls {
        let none = raw::Ttl::default();
        let raw = raw.map_or(&none, |raw| &raw.value);
        let min = self.lifetime(raw.min.as_ref(), Duration::ZERO);
        let max = self.lifetime(raw.max.as_ref(), TTL_MAX);
        let default = self.lifetime(raw.default.as_ref(), min);
        let error = self.lifetime(raw.error.as_ref(), Duration::ZERO);
        let bounds = [
            (&raw.min, "ttl.min", min, &raw.max, "ttl.max", max),
            (
                &raw.default,
                "ttl.default",
                default,
                &raw.max,
                "ttl.max",
                max,
            ),
            (
                &raw.min,
                "ttl.min",
                min,
                &raw.default,
                "ttl.default",
                default,
            ),
        ];
        for (low_field, low_name, low, high_field, high_name, high) in bounds {
            let Some(At { place, .. }) = high_field.as_ref().or(low_field.as_ref()) else {
                continue;
            };
            // The default of `default` follows `min`, so the first line says it.
            let unwritten = low_name == "ttl.default" && low_field.is_none();
            if low <= high || unwritten {
                continue;
            }
            let [low, high] = [low, high].map(units::show_duration);
            let note = if high_field.is_none() {
                ", its default"
            } else {
                ""
            };
            let what = format!("{low_name} is {low}, more than {high_name}, which is {high}{note}");
            self.findings
                .error(place, what)
                .hint("keep min, default and max in this order");
        }
        let heuristic = raw.heuristic.as_ref();
        if let Some(At { value, place }) = heuristic.filter(|at| !(0.0..=1.0).contains(&at.value)) {
            let what = format!("{value} is no share of an age");
            self.findings
                .error(place, what)
                .hint("write 0.0 to 1.0; 0.1 is usual");
        }
        Ttls {
            min,
            default,
            max,
            heuristic: heuristic.map_or(0.0, |at| at.value),
            error,
        }
    }

    fn stale(&mut self, raw: Option<&At<raw::Stale>>) -> Stale {
        let none = raw::Stale::default();
        let raw = raw.map_or(&none, |raw| &raw.value);
        Stale {
            while_revalidate: self.lifetime(raw.while_revalidate.as_ref(), Duration::ZERO),
            if_error: self.lifetime(raw.if_error.as_ref(), STALE_IF_ERROR),
        }
    }

    /// A duration in whole seconds, which is what HTTP counts lifetimes in.
    pub(super) fn lifetime(&mut self, field: Option<&At<Duration>>, default: Duration) -> Duration {
        let longest = Duration::from_secs(DURATION_SECONDS_MAX);
        let span = self.duration(field, default, Duration::ZERO..=longest);
        if let Some(field) = field.filter(|_| span.subsec_nanos() != 0) {
            let what = format!(
                "{:?} is no whole number of seconds",
                units::show_duration(span)
            );
            self.findings
                .error(&field.place, what)
                .hint("HTTP counts lifetimes in seconds");
        }
        span
    }

    fn key(&mut self, raw: Option<&At<raw::KeyParts>>, scope: Scope) -> KeySpec {
        let none = raw::KeyParts::default();
        let raw = raw.map_or(&none, |raw| &raw.value);
        let list = |field: &'_ Option<At<Vec<At<String>>>>| {
            field
                .as_ref()
                .map(|list| list.value.clone())
                .unwrap_or_default()
        };
        KeySpec {
            scope,
            query: self.selection(raw.query.as_ref(), names::parameter, Selection::All),
            sort: raw.sort.as_ref().is_none_or(|sort| sort.value),
            headers: self.names(&list(&raw.headers), names::keyed_field),
            cookies: self.names(&list(&raw.cookies), names::cookie),
        }
    }

    fn targeted(&mut self, raw: Option<&At<Vec<At<String>>>>) -> Vec<HeaderName> {
        match raw {
            Some(list) => self.names(&list.value, names::field),
            None => TARGETED.to_vec(),
        }
    }

    fn forward(&mut self, raw: Option<&At<raw::Forward>>) -> Forward {
        let none = raw::Forward::default();
        let raw = raw.map_or(&none, |raw| &raw.value);
        Forward {
            query: self.forward_query(raw.query.as_ref()),
            headers: match raw.headers.as_ref() {
                // What is kept back may be any field; what is let through may not.
                Some(At {
                    value: Choice::Except(_),
                    ..
                }) => self.selection(raw.headers.as_ref(), names::field, Selection::All),
                field => self.selection(field, names::forwarded_field, Selection::All),
            },
            cookies: self.selection(raw.cookies.as_ref(), names::cookie, Selection::All),
        }
    }

    fn forward_query(&mut self, field: Option<&At<Choice>>) -> ForwardQuery {
        let Some(At { value, place }) = field else {
            return ForwardQuery::Key;
        };
        match value {
            Choice::Word(word) if word == "key" => ForwardQuery::Key,
            Choice::Word(word) if word == "all" => ForwardQuery::All,
            Choice::Word(word) => {
                let hint = "write \"key\", \"all\" or a list of names";
                self.findings
                    .error(place, format!("{word:?} is not known here"))
                    .hint(hint);
                ForwardQuery::Key
            }
            Choice::List(list) => ForwardQuery::KeyAnd(self.names(list, names::parameter)),
            Choice::Except(_) => {
                let what = "parameters cannot be kept back from an origin by name";
                self.findings.error(place, what);
                self.findings
                    .hint("use `key.query = { except = [...] }` with forward.query = \"key\"");
                ForwardQuery::Key
            }
        }
    }
}

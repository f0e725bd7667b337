//! Warnings: what works as written, and may not be what was meant.

use crate::{
    config::{
        check::{BehaviourPart, Check, DistributionPart, names::shown, origin::Seen},
        problem::Place,
        raw,
        read::{At, Choice},
    },
    policy::{Caching, ForwardQuery, Rules, Selection, forward::SPOOFABLE},
};

/// Fields that we write ourselves, whatever the viewer sent.
const REPLACED: &[&str] = &[
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

impl Check<'_> {
    /// What one behaviour's rules may surprise somebody with.
    pub(super) fn advise(&mut self, raw: &raw::Behaviour, place: &Place, rules: &Rules) {
        self.advise_unsafe(raw, rules);
        self.advise_fields(raw, rules);
        match rules.caching {
            Caching::On => self.advise_unkeyed(raw, place, rules),
            Caching::Off => self.advise_pointless(raw),
        }
    }

    /// Which behaviours can be reached, and which paths nobody serves.
    pub(super) fn advise_order(
        &mut self,
        raw: &[At<raw::Behaviour>],
        parts: &[Option<BehaviourPart>],
    ) {
        let known: Vec<(&Place, &BehaviourPart)> = raw
            .iter()
            .zip(parts)
            .filter_map(|(raw, part)| Some((&raw.value.path.as_ref()?.place, part.as_ref()?)))
            .collect();
        for (at, (place, part)) in known.iter().enumerate() {
            let earlier = known[..at]
                .iter()
                .find(|(_, earlier)| earlier.path.covers(&part.path));
            if let Some((first, earlier)) = earlier {
                let line = self.findings.line(first);
                let what = format!(
                    "never reached: {:?} on line {line} takes all its paths",
                    earlier.path.as_str()
                );
                self.findings.warn(place, what).hint(
                    "the first behaviour whose path matches serves; put the narrower one first",
                );
            }
        }
        let Some((place, last)) = known.last().filter(|_| known.len() == raw.len()) else {
            return;
        };
        if !matches!(last.path.as_str(), "*" | "/*") {
            let what = "paths that no behaviour matches are answered 404";
            self.findings
                .warn(place, what)
                .hint("end with a behaviour whose path is \"*\"");
        }
    }

    /// Which origins nobody uses.
    pub(super) fn advise_origins(&mut self, parts: &[DistributionPart], origins: &[Seen]) {
        if self.findings.refused() {
            return;
        }
        for (index, origin) in origins.iter().enumerate() {
            let mut behaviours = parts.iter().flat_map(|part| &part.behaviours);
            if !behaviours.any(|behaviour| behaviour.origin == index) {
                self.findings.warn(
                    &origin.place,
                    format!("no behaviour uses the origin {:?}", origin.id),
                );
            }
        }
    }

    fn advise_unsafe(&mut self, raw: &raw::Behaviour, rules: &Rules) {
        let risks = [
            (
                &raw.unsafe_ttl_min_overrides_origin,
                "answers that the origin marks no-store, private or no-cache are stored and shared for `ttl.min`",
            ),
            (
                &raw.unsafe_store_set_cookie,
                "one viewer's Set-Cookie is replayed to every other: sessions can be handed out",
            ),
            (
                &raw.unsafe_share_authorized,
                "answers to one viewer's credentials are given to viewers with others, or none",
            ),
        ];
        for (flag, risk) in risks {
            if let Some(flag) = flag.as_ref().filter(|flag| flag.value) {
                self.findings
                    .warn(&flag.place, risk)
                    .hint("leave it out unless these answers are public");
            }
        }
        let overrides = raw
            .unsafe_ttl_min_overrides_origin
            .as_ref()
            .filter(|flag| flag.value);
        if let (Some(flag), true) = (overrides, rules.ttl.min.is_zero()) {
            let what = "`ttl.min` is 0s, so that there is nothing to override with";
            self.findings.warn(&flag.place, what);
        }
    }

    fn advise_fields(&mut self, raw: &raw::Behaviour, rules: &Rules) {
        let keyed = raw.key.as_ref().and_then(|key| key.value.headers.as_ref());
        let forwarded = raw
            .forward
            .as_ref()
            .and_then(|at| at.value.headers.as_ref());
        let forwarded = match forwarded.map(|at| &at.value) {
            Some(Choice::List(names)) => &names[..],
            _ => &[],
        };
        let keyed = keyed.map_or(&[][..], |names| &names.value);
        for At { value: name, place } in keyed.iter().chain(forwarded) {
            if REPLACED
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
            {
                let what = format!("{name:?} is written by this proxy, whatever the viewer sent");
                self.findings.warn(place, what).hint("leave it out");
            }
        }
        for At { value: name, place } in forwarded {
            let same = |known: &str| name.eq_ignore_ascii_case(known);
            let keyed = rules.key.headers.iter().any(|key| same(key.as_str()));
            let spoofable = SPOOFABLE.iter().any(|known| same(known));
            if spoofable && !keyed && rules.caching == Caching::On {
                let what = format!(
                    "{name:?} reaches the origin but not the key: a viewer who sends one can \
                     poison the cache for everyone",
                );
                self.findings.error(place, what);
                let hint = format!("add {name:?} to `key.headers`, or leave it out");
                self.findings.hint(hint);
            }
        }
    }

    fn advise_unkeyed(&mut self, raw: &raw::Behaviour, place: &Place, rules: &Rules) {
        let field = raw.forward.as_ref().and_then(|at| at.value.query.as_ref());
        let place = field.map_or(place, |field| &field.place);
        let unkeyed = match (&rules.forward.query, &rules.key.query) {
            (ForwardQuery::Key, _) | (_, Selection::All) => return,
            (ForwardQuery::All, Selection::Except(names)) => shown(names),
            (ForwardQuery::All, Selection::Only(names)) => {
                format!("all but {}", shown(names))
            }
            (ForwardQuery::All, Selection::None) => "all".to_owned(),
            (ForwardQuery::KeyAnd(names), key) => {
                let unkeyed: Vec<Vec<u8>> = names
                    .iter()
                    .filter(|name| !key.takes(*name))
                    .cloned()
                    .collect();
                if unkeyed.is_empty() {
                    return;
                }
                shown(&unkeyed)
            }
        };
        let what = format!(
            "query parameters reach the origin without being in the key: {unkeyed}; one that \
             changes the answer poisons the cache for everyone",
        );
        self.findings.warn(place, what).hint(
            "names are case-sensitive here: `keyword` is not `Keyword`; \
             forward.query = \"key\" forwards what is in the key and nothing else",
        );
    }

    /// Settings about stored answers, where nothing is stored.
    fn advise_pointless(&mut self, raw: &raw::Behaviour) {
        let mut pointless: Vec<&Place> = Vec::new();
        pointless.extend(raw.ttl.as_ref().map(|at| &at.place));
        pointless.extend(raw.stale.as_ref().map(|at| &at.place));
        pointless.extend(raw.vary.as_ref().map(|at| &at.place));
        pointless.extend(raw.request_directives.as_ref().map(|at| &at.place));
        for place in pointless {
            self.findings
                .warn(place, "means nothing here: `cache = false` stores nothing");
        }
        if let Some(key) = &raw.key {
            let what = "`cache = false` stores nothing, so that a key only says what is forwarded";
            self.findings
                .warn(&key.place, what)
                .hint("say it with `forward`");
        }
    }
}

//! Distributions: who answers for which host, and which behaviours can be reached.

use crate::{
    config::{
        check::{BehaviourPart, Check, DistributionPart, origin::Seen},
        problem::Place,
        raw,
        read::At,
    },
    fields::host::HostPattern,
};

/// Who answers for a host, so far.
#[derive(Default)]
struct Taken {
    ids: Vec<At<String>>,
    aliases: Vec<At<HostPattern>>,
    /// The distribution without aliases.
    rest: Option<Place>,
}

impl Check<'_> {
    pub(super) fn distributions(
        &mut self,
        raw: Option<&At<Vec<At<raw::Distribution>>>>,
        origins: &[Seen],
    ) -> Vec<DistributionPart> {
        let raw = raw.map_or(&[][..], |raw| &raw.value);
        let whole = Place::default();
        if raw.is_empty() && !self.findings.covers(&whole.missing("distribution")) {
            self.findings.error(&whole, "no distribution is configured");
            self.findings
                .hint("add [[distribution]] with an id and [[distribution.behaviour]]");
        }
        let mut taken = Taken::default();
        let parts: Vec<DistributionPart> = raw
            .iter()
            .map(|one| self.distribution(one, origins, &mut taken))
            .collect();
        self.advise_origins(&parts, origins);
        parts
    }

    fn distribution(
        &mut self,
        raw: &At<raw::Distribution>,
        origins: &[Seen],
        taken: &mut Taken,
    ) -> DistributionPart {
        let At { value: raw, place } = raw;
        let id = self.id(raw.id.as_ref(), place);
        if let Some(field) = &raw.id {
            if let Some(earlier) = taken.ids.iter().find(|earlier| earlier.value == id) {
                let line = self.findings.line(&earlier.place);
                let what = format!("the distribution on line {line} is named {id:?} too");
                self.findings.error(&field.place, what);
                self.findings
                    .hint("give each distribution an id of its own");
            }
            taken.ids.push(field.clone());
        }
        let aliases = self.aliases(raw, place, taken);
        let behaviours = self.behaviours(raw, place, &id, origins);
        DistributionPart {
            id,
            aliases,
            behaviours,
        }
    }

    fn aliases(
        &mut self,
        raw: &raw::Distribution,
        table: &Place,
        taken: &mut Taken,
    ) -> Vec<HostPattern> {
        let listed = raw
            .aliases
            .as_ref()
            .map_or(&[][..], |aliases| &aliases.value);
        if listed.is_empty() && !self.findings.covers(&table.missing("aliases")) {
            let place = raw.aliases.as_ref().map_or(table, |aliases| &aliases.place);
            if let Some(earlier) = &taken.rest {
                let line = self.findings.line(earlier);
                let what =
                    format!("the distribution on line {line} answers for every host already");
                self.findings
                    .error(place, what)
                    .hint("name hosts in `aliases` of one of the two");
            }
            taken.rest.get_or_insert_with(|| place.clone());
        }
        let mut aliases = Vec::with_capacity(listed.len());
        for At { value: text, place } in listed {
            let alias = match HostPattern::parse(text) {
                Ok(alias) => alias,
                Err(bad) => {
                    self.findings
                        .error(place, format!("{text:?} is no alias: {bad}"));
                    self.findings
                        .hint("write \"www.example.com\" or \"*.example.com\"");
                    continue;
                }
            };
            let same = |earlier: &&At<HostPattern>| earlier.value == alias;
            if let Some(earlier) = taken.aliases.iter().find(same) {
                let line = self.findings.line(&earlier.place);
                self.findings.error(
                    place,
                    format!("{text:?} is an alias on line {line} already"),
                );
            }
            taken.aliases.push(At {
                value: alias.clone(),
                place: place.clone(),
            });
            aliases.push(alias);
        }
        aliases
    }

    fn behaviours(
        &mut self,
        raw: &raw::Distribution,
        table: &Place,
        id: &str,
        origins: &[Seen],
    ) -> Vec<BehaviourPart> {
        if let (Some(_), Some(other)) = (&raw.behaviour, &raw.behavior) {
            let what = "the behaviours are spelt in two ways, so that their order is lost";
            self.findings
                .error(&other.place, what)
                .hint("write [[distribution.behaviour]]");
        }
        let list = raw.behaviour.as_ref().or(raw.behavior.as_ref());
        let list = list.map_or(&[][..], |list| &list.value);
        let noted = self.findings.covers(&table.missing("behaviour"))
            || self.findings.covers(&table.missing("behavior"));
        if list.is_empty() && !noted {
            self.findings
                .error(table, "has no behaviours, so that it serves nothing");
            self.findings
                .hint("add [[distribution.behaviour]] with path = \"*\" and an origin");
        }
        let parts: Vec<Option<BehaviourPart>> = list
            .iter()
            .map(|one| self.behaviour(&one.value, &one.place, id, origins))
            .collect();
        self.advise_order(list, &parts);
        parts.into_iter().flatten().collect()
    }
}

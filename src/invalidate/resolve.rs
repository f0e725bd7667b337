//! The items of an order as selectors, by the functions that serve.
//!
//! What a viewer can write in several ways means one thing here, too: paths are canonical
//! before they are looked at, queries are reduced to what the key of their behaviour holds.
//! Where that cannot be had exactly, more is covered, never less.
//!
//! A path that no behaviour serves is accepted with all its queries: there is nothing there
//! to cover, unless a configuration before this one stored something. So is one with a query
//! where a reload has changed what is in the key.

use std::{borrow::Cow, collections::HashSet};

use super::{
    ITEMS_MAX, Offence, Order, PATH_CHARACTERS_MAX, REFERENCE_BYTES_MAX, Refused, TAG_BYTES_MAX,
    Tag, TagCase, Where,
    beginning::beginning,
    keyed::{keyed, keying, named},
    keys::Keys,
};
use crate::{
    fields::path,
    policy::{KeySpec, Selection, key::Scope, selector::Selector},
    site::{Behaviour, Distribution, Snapshot},
};

/// An order as the ledger takes it.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The id of its distribution.
    pub(super) distribution: String,
    /// What it covers; at most a few for each item.
    pub(super) selectors: HashSet<Selector>,
}

/// Why an item means nothing here, and what would do.
pub(super) type Why = String;

/// What `order` is about in `site`; errs with every item that is about nothing. `keys` says
/// how what is stored may be keyed.
pub(super) fn resolve(site: &Snapshot, keys: &Keys, order: &Order) -> Result<Resolved, Refused> {
    let seen = order.items();
    if seen > ITEMS_MAX {
        let max = ITEMS_MAX;
        return Err(Refused::TooMany { seen, max });
    }
    let distribution = distribution(site, order.distribution.as_deref())?;
    let mut found = Found {
        distribution,
        rekeyed: keys.have_changed(&distribution.id),
        selectors: HashSet::with_capacity(seen),
        offences: Vec::new(),
    };
    if order.everything {
        found.everything();
    } else if seen == 0 {
        let why = "there is nothing to invalidate: name paths, tags or where; \
                   everything takes \"everything\": true or the path \"/*\"";
        found.note("paths".to_owned(), Err(why.to_owned()));
    }
    for item in &order.paths {
        let taken = found.path(item);
        found.note(shown(item), taken);
    }
    for tag in &order.tags {
        let taken = found.tag(tag);
        found.note(shown(&tag.text), taken);
    }
    for item in &order.r#where {
        let taken = found.parameter(item);
        let path = item.path.as_deref().map(|path| format!("{path} "));
        let text = format!("{}{}={}", path.unwrap_or_default(), item.name, item.value);
        found.note(shown(&text), taken);
    }
    if let Some(reference) = &order.reference {
        found.note(shown(reference), checked_reference(reference));
    }
    if !found.offences.is_empty() {
        return Err(Refused::Invalid(found.offences));
    }
    Ok(Resolved {
        distribution: distribution.id.clone(),
        selectors: found.selectors,
    })
}

/// The distribution that is meant.
fn distribution<'s>(site: &'s Snapshot, named: Option<&str>) -> Result<&'s Distribution, Refused> {
    match (named, &site.distributions[..]) {
        (Some(id), all) => {
            let found = all.iter().find(|one| one.id == id);
            found.ok_or_else(|| Refused::NoSuchDistribution(id.to_owned()))
        }
        (None, [only]) => Ok(only),
        (None, all) => {
            let ids = all.iter().map(|one| format!("{:?}", one.id));
            let ids: Vec<String> = ids.collect();
            Err(Refused::Invalid(vec![Offence {
                item: "distribution".to_owned(),
                why: format!("is missing, and there are several: {}", ids.join(", ")),
            }]))
        }
    }
}

fn checked_reference(reference: &str) -> Result<(), Why> {
    match reference.len() {
        0 => Err("a reference is not empty; leave it out to have none".to_owned()),
        1..=REFERENCE_BYTES_MAX => Ok(()),
        bytes => Err(format!(
            "the reference has {bytes} bytes, {REFERENCE_BYTES_MAX} are allowed"
        )),
    }
}

/// What was found so far.
struct Found<'s> {
    distribution: &'s Distribution,
    /// Whether what is stored may be keyed otherwise.
    rekeyed: bool,
    selectors: HashSet<Selector>,
    offences: Vec<Offence>,
}

impl Found<'_> {
    fn note(&mut self, item: String, taken: Result<(), Why>) {
        if let Err(why) = taken {
            self.offences.push(Offence { item, why });
        }
    }

    fn everything(&mut self) {
        self.selectors
            .insert(Selector::prefix(&self.distribution.id, ""));
    }

    fn path(&mut self, item: &str) -> Result<(), Why> {
        check_path(item)?;
        if item == "/*" {
            self.everything();
            return Ok(());
        }
        // Browsers escape what is not ASCII, other clients may not.
        for item in [Some(Cow::Borrowed(item)), escaped(item)]
            .into_iter()
            .flatten()
        {
            match (item.split_once('?'), item.ends_with('*')) {
                (None, true) => self.prefix(&item)?,
                (None, false) => self.page(&item, None)?,
                (Some((path, query)), false) => self.page(path, Some(query))?,
                (Some((path, query)), true) => self.queries(path, &query[..query.len() - 1])?,
            }
        }
        Ok(())
    }

    /// One path with one query.
    fn page(&mut self, path: &str, query: Option<&str>) -> Result<(), Why> {
        let path = canonical(path)?;
        if self.rekeyed && query.is_some() {
            self.every_query(&path);
        }
        let id = &self.distribution.id;
        match serving(self.distribution, &path) {
            Some(behaviour) => {
                let page = Selector::page(id, &behaviour.rules.key, &path, query);
                self.selectors.insert(page);
            }
            None => self.every_query(&path),
        }
        Ok(())
    }

    /// Every path that begins like `item`, which ends in `*`, whatever its query.
    fn prefix(&mut self, item: &str) -> Result<(), Why> {
        // With its `*`, the last segment is a name like any other: `/a/..*` is not `/`.
        let path = canonical(item)?;
        let prefix = path.strip_suffix('*').unwrap_or(&path);
        if prefix == "/" {
            return Err("this is everything: write \"/*\"".to_owned());
        }
        self.selectors
            .insert(Selector::prefix(&self.distribution.id, prefix));
        Ok(())
    }

    /// One path with every query that begins like `query`.
    fn queries(&mut self, path: &str, query: &str) -> Result<(), Why> {
        let path = canonical(path)?;
        if self.rekeyed {
            self.every_query(&path);
        }
        let Some(behaviour) = serving(self.distribution, &path) else {
            self.every_query(&path);
            return Ok(());
        };
        let key = &behaviour.rules.key;
        let Some(beginning) = beginning(key, query) else {
            self.every_query(&path);
            return Ok(());
        };
        let prefix = format!("{path}?{beginning}");
        self.selectors
            .insert(Selector::prefix(&self.distribution.id, &prefix));
        Ok(())
    }

    /// One path with every query, and with none.
    fn every_query(&mut self, path: &str) {
        let id = &self.distribution.id;
        let none = KeySpec {
            scope: Scope::new(id, ""),
            query: Selection::None,
            sort: true,
            headers: Vec::new(),
            cookies: Vec::new(),
        };
        let every = Selector::prefix(id, &format!("{path}?"));
        self.selectors
            .extend([Selector::page(id, &none, path, None), every]);
    }

    fn tag(&mut self, tag: &Tag) -> Result<(), Why> {
        let (text, id) = (tag.text.as_bytes(), &self.distribution.id);
        if text.is_empty() {
            return Err("a tag is not empty".to_owned());
        }
        if text.len() > TAG_BYTES_MAX {
            let bytes = text.len();
            return Err(format!(
                "the tag has {bytes} bytes, {TAG_BYTES_MAX} are allowed"
            ));
        }
        if tag.text.chars().any(char::is_control) {
            return Err("a tag holds no control characters".to_owned());
        }
        match tag.case {
            TagCase::Exact => drop(self.selectors.insert(Selector::tag(id, text))),
            TagCase::Any => self.selectors.extend(Selector::tag_any_case(id, text)),
        }
        Ok(())
    }

    fn parameter(&mut self, item: &Where) -> Result<(), Why> {
        let distribution = self.distribution;
        let name = item.name.as_bytes();
        if name.is_empty() {
            return Err("the parameter has no name".to_owned());
        }
        let behaviours = match &item.path {
            Some(path) => vec![keying(named(distribution, path)?, name)?],
            None => {
                let all = distribution.behaviours.iter();
                let keying: Vec<_> = all.filter_map(|one| keying(one, name).ok()).collect();
                if keying.is_empty() {
                    return Err(format!("no behaviour keys it: {}", keyed(distribution)));
                }
                keying
            }
        };
        let value = item.value.as_bytes();
        for behaviour in behaviours {
            let pattern = behaviour.path.as_str();
            let selector = Selector::parameter(&distribution.id, pattern, name, value);
            self.selectors.insert(selector);
        }
        Ok(())
    }
}

/// What can be said of a path before it is looked up.
fn check_path(item: &str) -> Result<(), Why> {
    let characters = item.chars().count();
    if characters > PATH_CHARACTERS_MAX {
        return Err(format!(
            "the path has {characters} characters, {PATH_CHARACTERS_MAX} are allowed"
        ));
    }
    if item == "*" {
        return Err("this may be meant as everything: write \"/*\"".to_owned());
    }
    if !item.starts_with('/') {
        return Err(match item.split_once("://") {
            Some(_) => "write the path alone, without scheme and host".to_owned(),
            None => "a path begins with `/`".to_owned(),
        });
    }
    if item.contains('#') {
        return Err("no request carries a `#`: write %23".to_owned());
    }
    if item.contains(' ') {
        return Err("no request carries a space: write %20".to_owned());
    }
    match item.chars().any(char::is_control) {
        true => Err("no request carries a control character".to_owned()),
        false => Ok(()),
    }
}

/// `item` with what is not ASCII escaped; `None` when it is all ASCII.
fn escaped(item: &str) -> Option<Cow<'_, str>> {
    if item.is_ascii() {
        return None;
    }
    let escape = |byte: u8| match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    Some(item.bytes().map(escape).collect::<String>().into())
}

/// The one path that serving sees.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, Why> {
    path::canonical(path).map_err(|bad| bad.to_string())
}

/// The behaviour that serves `path`.
pub(super) fn serving<'s>(distribution: &'s Distribution, path: &str) -> Option<&'s Behaviour> {
    let mut behaviours = distribution.behaviours.iter();
    behaviours.find(|behaviour| behaviour.path.matches(path))
}

/// The longest item that is repeated in an answer, in characters.
const SHOWN_MAX: usize = 400;

/// `item` as an answer repeats it.
fn shown(item: &str) -> String {
    match item.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &item[..end]),
        None => item.to_owned(),
    }
}

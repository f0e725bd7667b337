//! A call that invalidates: what it is about, and whether that is this answer.

use std::fmt;

use warmfront::{
    invalidate::{Order, Tag, TagCase, Where},
    policy::{marks::Mode, selector::Selector},
    site::{Behaviour, Distribution},
};

use super::pages::{PAGES, PREFIXES, Page, REST, SEARCH, TAGS};
use crate::history::dice::Dice;

/// An invalidation, as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) mode: Mode,
    pub(super) items: Vec<Item>,
}

/// One item of it.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A page, in one of the ways to write it.
    Page(&'static str, &'static Page),
    /// What begins like this: as it is written, and as the text has it.
    Prefix(&'static str, &'static str),
    /// A tag, exactly.
    Tag(&'static str),
    /// A tag, in whatever case.
    AnyCase(&'static str),
    /// A parameter: name and value, in one behaviour or in all.
    Where(Option<&'static str>, &'static str, &'static str),
    /// Everything.
    Everything,
}

impl Call {
    /// Any call about some of `pages`, or about others.
    pub(super) fn drawn(pages: &[&'static Page], dice: &mut Dice) -> Self {
        let mode = match dice.below(100) {
            0..40 => Mode::Soft,
            _ => Mode::Hard,
        };
        let items = dice.one(&[1, 1, 1, 2, 3]);
        Self {
            mode,
            items: (0..items).map(|_| Item::drawn(pages, dice)).collect(),
        }
    }

    /// What a restart covers, and the end.
    pub(super) fn of_everything() -> Self {
        Self {
            mode: Mode::Hard,
            items: vec![Item::Everything],
        }
    }

    /// The same for the admin API.
    pub(super) fn order(&self) -> Order {
        let mut order = Order {
            mode: self.mode,
            ..Order::default()
        };
        for item in &self.items {
            match *item {
                Item::Page(path, _) | Item::Prefix(path, _) => order.paths.push(path.to_owned()),
                Item::Tag(text) | Item::AnyCase(text) => order.tags.push(Tag {
                    text: text.to_owned(),
                    case: match item {
                        Item::Tag(_) => TagCase::Exact,
                        _ => TagCase::Any,
                    },
                }),
                Item::Where(path, name, value) => order.r#where.push(Where {
                    path: path.map(str::to_owned),
                    name: name.to_owned(),
                    value: value.to_owned(),
                }),
                Item::Everything => order.everything = true,
            }
        }
        order
    }

    /// The same for the ledger.
    pub(super) fn selectors(&self, distribution: &Distribution) -> Vec<Selector> {
        let of = |item: &Item| item.selectors(distribution);
        self.items.iter().flat_map(of).collect()
    }

    /// Whether it is about an answer for `page` with `tags`.
    pub(super) fn covers(&self, page: &Page, tags: &[&str]) -> bool {
        self.items.iter().any(|item| item.covers(page, tags))
    }
}

impl Item {
    fn drawn(pages: &[&'static Page], dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..35 => {
                let page = match dice.below(100) {
                    0..80 => dice.one(pages),
                    _ => &PAGES[dice.below(PAGES.len() as u64) as usize],
                };
                Self::Page(dice.one(page.targets), page)
            }
            35..50 => {
                let (written, text) = dice.one(PREFIXES);
                Self::Prefix(written, text)
            }
            50..70 => Self::Tag(dice.one(TAGS)),
            70..80 => Self::AnyCase(dice.one(&["a", "aB", "ABC"])),
            80..95 => {
                let scope = dice.one(&[None, Some(REST), Some(SEARCH), Some(SEARCH)]);
                let value = dice.one(&["1", "1", "2", "1 2"]);
                match dice.below(100) {
                    0..25 => Self::Where(scope, "page", "2"),
                    _ => Self::Where(scope, "q", value),
                }
            }
            _ => Self::Everything,
        }
    }

    fn selectors(&self, distribution: &Distribution) -> Vec<Selector> {
        let id = &distribution.id;
        match *self {
            Self::Page(written, page) => {
                let all = distribution.behaviours.iter();
                let serving = |one: &&Behaviour| one.path.as_str() == page.behaviour;
                let spec = &{ all }.find(serving).expect("it is configured").rules.key;
                let (path, query) = match written.split_once('?') {
                    Some((path, query)) => (path, Some(query)),
                    None => (written, None),
                };
                vec![Selector::page(id, spec, path, query)]
            }
            Self::Prefix(written, _) => {
                vec![Selector::prefix(id, written.trim_end_matches('*'))]
            }
            Self::Tag(tag) => vec![Selector::tag(id, tag.as_bytes())],
            Self::AnyCase(tag) => Selector::tag_any_case(id, tag.as_bytes()),
            Self::Where(scope, name, value) => {
                let scopes = scope.map_or_else(|| vec![REST, SEARCH], |scope| vec![scope]);
                let (name, value) = (name.as_bytes(), value.as_bytes());
                let one = |scope| Selector::parameter(id, scope, name, value);
                scopes.into_iter().map(one).collect()
            }
            Self::Everything => vec![Selector::prefix(id, "")],
        }
    }

    /// What kind of item it is, to count it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Page(..) => "pages",
            Self::Prefix(..) => "prefixes",
            Self::Tag(_) => "tags",
            Self::AnyCase(_) => "tags in any case",
            Self::Where(..) => "parameters",
            Self::Everything => "everything",
        }
    }

    fn covers(&self, page: &Page, tags: &[&str]) -> bool {
        match *self {
            Self::Page(_, about) => about.text == page.text,
            Self::Prefix(_, text) => page.text.starts_with(text),
            Self::Tag(tag) => tags.contains(&tag),
            Self::AnyCase(tag) => tags.iter().any(|one| one.eq_ignore_ascii_case(tag)),
            Self::Where(scope, name, value) => {
                scope.is_none_or(|scope| scope == page.behaviour)
                    && page.parameters.contains(&(name, value))
            }
            Self::Everything => true,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode.as_str())?;
        for item in &self.items {
            match item {
                Item::Page(written, _) | Item::Prefix(written, _) => write!(f, "  {written}")?,
                Item::Tag(tag) => write!(f, "  tag {tag}")?,
                Item::AnyCase(tag) => write!(f, "  tag {tag} in any case")?,
                Item::Where(scope, name, value) => {
                    write!(f, "  where {} {name}={value}", scope.unwrap_or("anywhere"))?;
                }
                Item::Everything => f.write_str("  everything")?,
            }
        }
        Ok(())
    }
}

//! What a stored response can be invalidated by: its target and its groups.
//!
//! Marks are 128-bit hashes, so that a response with many of them stays small and a ledger
//! of many invalidations too.

use http::{HeaderMap, HeaderName};

use super::{Ask, Rules, key::digest};
use crate::fields::groups::groups;

/// `Cache-Groups` (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// `Cache-Group-Invalidation` (RFC 9875 §3).
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// One thing that can be invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(pub u128);

/// A place in the order of invalidations; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// What a stored response can be invalidated by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Its target, whatever fields and cookies are in its key.
    target: Mark,
    groups: Box<[Mark]>,
}

impl Marks {
    /// The marks of the answer to `ask` with `headers`.
    pub fn of(ask: &Ask, rules: &Rules, headers: &HeaderMap) -> Self {
        let groups = if rules.cache_groups {
            groups(headers.get_all(CACHE_GROUPS))
        } else {
            Vec::new()
        };
        Self {
            target: target(ask, rules),
            groups: groups.iter().map(|name| group(ask, name)).collect(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Mark> {
        std::iter::once(self.target).chain(self.groups.iter().copied())
    }

    /// What they take beside themselves, in bytes.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.groups)
    }
}

/// The mark of every answer to the target of `ask`.
pub fn target(ask: &Ask, rules: &Rules) -> Mark {
    Mark(rules.key.target(ask).0)
}

/// The mark of every answer in a group: "two responses are in the same group if they have the
/// same origin and share a group" (RFC 9875 §2); the origin is the viewer's.
pub fn group(ask: &Ask, name: &[u8]) -> Mark {
    let parts = [
        b"group",
        ask.scheme.as_str().as_bytes(),
        ask.host.as_str().as_bytes(),
        name,
    ];
    Mark(digest(parts))
}

/// The groups that an answer to an unsafe request invalidates: the field is "ignored in
/// responses to requests with safe methods" (RFC 9875 §3), and so is one on an error, which
/// changed nothing.
pub fn invalidated_groups(ask: &Ask, headers: &HeaderMap) -> Vec<Mark> {
    let names = groups(headers.get_all(CACHE_GROUP_INVALIDATION));
    names.iter().map(|name| group(ask, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Selection,
        tests::{ask, fields, rules},
    };

    #[test]
    fn a_target_is_the_same_whatever_fields_are_keyed() {
        let mut rules = rules();
        rules.key.headers = vec![http::header::ACCEPT_LANGUAGE];
        let (one, mut other) = (ask("/a?x=1"), ask("/a?x=1"));
        other.headers = fields(&[("accept-language", "de")]);
        assert_ne!(rules.key.key(&one), rules.key.key(&other));
        assert_eq!(target(&one, &rules), target(&other, &rules));
        assert_ne!(target(&one, &rules), target(&ask("/a?x=2"), &rules));
        rules.key.query = Selection::None;
        assert_eq!(target(&one, &rules), target(&ask("/a?x=2"), &rules));
    }

    #[test]
    fn groups_are_of_one_origin() {
        let (one, mut other) = (ask("/a"), ask("/b"));
        assert_eq!(group(&one, b"g"), group(&other, b"g"));
        other.scheme = crate::policy::Scheme::Https;
        assert_ne!(group(&one, b"g"), group(&other, b"g"));
    }

    #[test]
    fn marks_hold_the_groups_where_the_behaviour_wants_them() {
        let headers = fields(&[("cache-groups", "\"g\", \"h\"")]);
        let mut rules = rules();
        assert_eq!(Marks::of(&ask("/a"), &rules, &headers).iter().count(), 3);
        rules.cache_groups = false;
        assert_eq!(Marks::of(&ask("/a"), &rules, &headers).iter().count(), 1);
    }
}

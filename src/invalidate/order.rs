//! An invalidation as it is asked for, and as it is answered.

use std::io;

pub use crate::policy::marks::Mode;
use crate::time::Timestamp;

/// The most items of one order: paths, tags and parameters together (CloudFront: 3,000).
pub const ITEMS_MAX: usize = 3_000;

/// The longest path, query included, in characters (CloudFront: 4,000).
pub const PATH_CHARACTERS_MAX: usize = 4_000;

/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 1_024;

/// The longest reference, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 1_024;

/// What somebody wants invalidated, unresolved and unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The distribution's id; it may be left out where there is only one.
    pub distribution: Option<String>,
    /// Paths: `/a`, `/a?q=1`, or with a `*` at the end everything that begins so.
    pub paths: Vec<String>,
    /// Tags that the origin gave its answers.
    pub tags: Vec<Tag>,
    /// Values of keyed parameters.
    pub r#where: Vec<Where>,
    /// Everything of the distribution.
    pub everything: bool,
    /// What happens to what is covered.
    pub mode: Mode,
    /// What makes a repetition harmless: the same content is the first invalidation again.
    pub reference: Option<String>,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// What the origin wrote.
    pub text: String,
    /// Whether case counts.
    pub case: TagCase,
}

/// Whether the case of a tag counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagCase {
    /// It does.
    Exact,
    /// It does not (CloudFront).
    Any,
}

/// Every object of a behaviour whose key has a parameter with a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Where {
    /// The behaviour's pattern as it is configured, or a path that it serves; `None` for
    /// every behaviour that keys the parameter.
    pub path: Option<String>,
    /// The parameter's name, decoded; case counts.
    pub name: String,
    /// Its value, decoded; case counts.
    pub value: String,
}

/// The name of the token or key that calls, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

/// An invalidation that was accepted; it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// `I` and 13 upper-case letters or digits.
    pub id: String,
    /// Its place among the invalidations of this process and, with a journal, those before.
    pub sequence: u64,
    /// When it was accepted.
    pub created: Timestamp,
    /// The distribution it is about.
    pub distribution: String,
    /// What was asked for, as it was.
    pub order: Order,
    /// Who asked.
    pub by: String,
    /// How many stored objects it covered; `None` when nobody counted.
    pub matched: Option<u64>,
}

/// What an order would cover now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// How many stored objects.
    pub matched: u64,
    /// Some of their paths with the query that is in their keys, [`SAMPLE_MAX`] at most.
    pub sample: Vec<String>,
}

/// The most paths that a preview names.
pub const SAMPLE_MAX: usize = 20;

/// An item that cannot be invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// The item as it was given, or the name of what is missing.
    pub item: String,
    /// What is wrong with it, and what would do.
    pub why: String,
}

/// Why an order was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no distribution with this id.
    #[error("no distribution named {0:?}")]
    NoSuchDistribution(String),
    /// Items that mean nothing here; nothing of the order was accepted.
    #[error("{}", offences(.0))]
    Invalid(Vec<Offence>),
    /// More items than [`ITEMS_MAX`].
    #[error("{seen} items are too many, {max} may be invalidated at once")]
    TooMany {
        /// How many there were.
        seen: usize,
        /// How many there may be.
        max: usize,
    },
    /// The reference belongs to an invalidation of other content.
    #[error("the reference {reference:?} is that of {id}, whose content is another")]
    ReferenceTaken {
        /// The reference.
        reference: String,
        /// The invalidation it belongs to.
        id: String,
    },
    /// The invalidation took effect, but could not be written down.
    #[error("the invalidation took effect on this node, but the journal could not be written: {0}")]
    Unwritable(#[source] io::Error),
    /// The stored objects cannot be walked through now: it is being done for others.
    #[error("too much is being counted already")]
    Busy,
}

fn offences(offences: &[Offence]) -> String {
    let each = offences
        .iter()
        .map(|one| format!("{}: {}", one.item, one.why));
    each.collect::<Vec<_>>().join("; ")
}

impl Default for Order {
    /// Nothing, hard.
    fn default() -> Self {
        Self {
            distribution: None,
            paths: Vec::new(),
            tags: Vec::new(),
            r#where: Vec::new(),
            everything: false,
            mode: Mode::Hard,
            reference: None,
        }
    }
}

impl Refused {
    /// A word for it, for programs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoSuchDistribution(_) => "no_such_distribution",
            Self::Invalid(_) => "invalid_items",
            Self::TooMany { .. } => "too_many_items",
            Self::ReferenceTaken { .. } => "reference_taken",
            Self::Unwritable(_) => "journal_unwritable",
            Self::Busy => "busy",
        }
    }
}

impl Order {
    /// How many items it has.
    pub fn items(&self) -> usize {
        self.paths.len() + self.tags.len() + self.r#where.len()
    }

    /// Whether it asks for the same as `other`, in whatever order. The distribution is not
    /// looked at, since one may name it and the other not.
    pub fn same_content(&self, other: &Self) -> bool {
        (self.mode, self.everything) == (other.mode, other.everything)
            && same(&self.paths, &other.paths)
            && same(&self.tags, &other.tags)
            && same(&self.r#where, &other.r#where)
    }
}

/// Whether two lists hold the same, in whatever order.
fn same<T: Ord>(one: &[T], other: &[T]) -> bool {
    let sorted = |list: &[T]| {
        let mut refs: Vec<usize> = (0..list.len()).collect();
        refs.sort_by(|&a, &b| list[a].cmp(&list[b]));
        refs
    };
    one == other
        || one.len() == other.len()
            && sorted(one)
                .into_iter()
                .zip(sorted(other))
                .all(|(a, b)| one[a] == other[b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_in_whatever_order() {
        let order = |paths: &[&str]| Order {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            ..Order::default()
        };
        assert!(order(&["/a", "/b"]).same_content(&order(&["/b", "/a"])));
        assert!(!order(&["/a", "/b"]).same_content(&order(&["/a"])));
        assert!(!order(&["/a", "/b"]).same_content(&order(&["/a", "/c"])));
        let soft = Order {
            mode: Mode::Soft,
            ..order(&["/a"])
        };
        assert!(!soft.same_content(&order(&["/a"])));
    }
}

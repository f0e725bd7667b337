//! Prefixes and when they were invalidated last: a radix tree over bytes.
//!
//! One walk down a text meets every prefix of it. A prefix makes what was noted below it
//! redundant, if it takes as much: then all of that is let go of. Nodes hold exactly what
//! they need, since there may be a million.

use super::latest::Latest;
use crate::policy::marks::{Mode, Sequence};

/// The longest prefix that is kept, in bytes; a longer one is cut, which covers more. It
/// bounds how deep the tree is, and what one entry takes.
const PREFIX_BYTES_MAX: usize = 1_024;

/// Prefixes, each with its latest sequences.
#[derive(Debug, Default)]
pub(super) struct Trie {
    /// Of the empty prefix.
    root: Node,
    /// What it has below its root, and what was pruned and not yet forgotten.
    size: Size,
}

/// What stands for the rest of a prefix behind its parent's.
#[derive(Debug, Default)]
struct Node {
    label: Box<[u8]>,
    latest: Latest,
    /// By their labels' first bytes, which all differ.
    children: Box<[Self]>,
    /// Whether something hard may be below.
    hard_below: bool,
}

/// What was let go of: to be counted, told to [`Trie::forget`], and freed where nobody waits.
#[derive(Debug, Default)]
pub(super) struct Pruned(Box<[Node]>);

/// How much of a tree something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    nodes: usize,
    label_bytes: usize,
}

impl Size {
    const fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            label_bytes: self.label_bytes + other.label_bytes,
        }
    }
}

impl Pruned {
    /// How much it is; looks at each node.
    pub(super) fn size(&self) -> Size {
        self.0
            .iter()
            .map(Node::size)
            .fold(Size::default(), Size::plus)
    }
}

impl Trie {
    /// Notes that everything that begins with `prefix` was invalidated at `at`, which is not
    /// before anything noted so far.
    pub(super) fn note(&mut self, prefix: &[u8], mode: Mode, at: Sequence) -> Pruned {
        let mut rest = &prefix[..prefix.len().min(PREFIX_BYTES_MAX)];
        let mut node = &mut self.root;
        while !rest.is_empty() {
            // It is already said of a shorter one.
            if node
                .latest
                .after(Sequence(at.0 - 1))
                .is_some_and(|said| said >= mode)
            {
                return Pruned::default();
            }
            node.hard_below |= mode == Mode::Hard;
            let place = node.place(rest[0]);
            let child = match place {
                Ok(place) => {
                    let shared = common(&node.children[place].label, rest);
                    if shared < node.children[place].label.len() {
                        node.children[place].split(shared);
                        self.size.nodes += 1;
                    }
                    rest = &rest[shared..];
                    place
                }
                Err(place) => {
                    node.insert(place, rest);
                    self.size.nodes += 1;
                    self.size.label_bytes += rest.len();
                    rest = &[];
                    place
                }
            };
            node = &mut node.children[child];
        }
        node.latest.note(mode, at);
        // What is below is older. It counts where it takes more than this.
        if mode == Mode::Soft && node.hard_below {
            return Pruned::default();
        }
        node.hard_below = false;
        Pruned(std::mem::take(&mut node.children))
    }

    /// Counts this no longer: it was pruned.
    pub(super) fn forget(&mut self, pruned: Size) {
        self.size.nodes -= pruned.nodes;
        self.size.label_bytes -= pruned.label_bytes;
    }

    /// What of all that begins `text` came after `since`, the strongest.
    pub(super) fn after(&self, text: &[u8], since: Sequence) -> Option<Mode> {
        let mut found = None;
        self.walk(text, |latest| {
            found = found.max(latest.after(since));
            found != Some(Mode::Hard)
        });
        found
    }

    /// The latest of all that begins `text`.
    pub(super) fn latest(&self, text: &[u8]) -> Sequence {
        let mut newest = Sequence::default();
        self.walk(text, |latest| {
            newest = newest.max(latest.newest());
            true
        });
        newest
    }

    /// Hands what is noted for each prefix of `text` to `each`, as long as that wants more.
    fn walk(&self, text: &[u8], mut each: impl FnMut(&Latest) -> bool) {
        let (mut node, mut rest) = (&self.root, text);
        if !each(&node.latest) {
            return;
        }
        while let Some(&first) = rest.first() {
            let Ok(place) = node.place(first) else { return };
            node = &node.children[place];
            let Some(after) = rest.strip_prefix(&*node.label) else {
                return;
            };
            rest = after;
            if !each(&node.latest) {
                return;
            }
        }
    }

    /// How many nodes there are: at most two for each prefix.
    pub(super) fn nodes(&self) -> usize {
        self.size.nodes
    }

    /// What it takes, in bytes, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        self.size.nodes * size_of::<Node>() + self.size.label_bytes
    }
}

impl Node {
    /// Where the child that begins with this byte is, or would be.
    fn place(&self, first: u8) -> Result<usize, usize> {
        self.children
            .binary_search_by_key(&first, |child| child.label[0])
    }

    fn insert(&mut self, place: usize, label: &[u8]) {
        let mut children = std::mem::take(&mut self.children).into_vec();
        children.reserve_exact(1);
        let leaf = Self {
            label: label.into(),
            ..Self::default()
        };
        children.insert(place, leaf);
        self.children = children.into();
    }

    /// Puts a node in its place that has the label's first `length` bytes, and this below.
    fn split(&mut self, length: usize) {
        let mut below = std::mem::take(self);
        self.label = below.label[..length].into();
        self.hard_below = below.hard_below || below.latest.has(Mode::Hard);
        below.label = below.label[length..].into();
        self.children = Box::new([below]);
    }

    /// What is here and below.
    fn size(&self) -> Size {
        let own = Size {
            nodes: 1,
            label_bytes: self.label.len(),
        };
        self.children.iter().map(Self::size).fold(own, Size::plus)
    }
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn note(trie: &mut Trie, prefix: &str, mode: Mode, at: u64) {
        let pruned = trie.note(prefix.as_bytes(), mode, Sequence(at));
        trie.forget(pruned.size());
    }

    fn noted(prefixes: &[(&str, Mode)]) -> Trie {
        let mut trie = Trie::default();
        for (at, (prefix, mode)) in (1..).zip(prefixes) {
            note(&mut trie, prefix, *mode, at);
        }
        trie
    }

    use Mode::{Hard, Soft};

    #[test]
    fn a_text_is_covered_by_what_it_begins_with() {
        let trie = noted(&[("/ab", Hard), ("/abc", Soft), ("/b", Soft)]);
        let after = |text: &str, since| trie.after(text.as_bytes(), Sequence(since));
        assert_eq!(after("/ab", 0), Some(Hard));
        assert_eq!(after("/abc", 0), Some(Hard));
        assert_eq!(after("/abc", 1), Some(Soft));
        assert_eq!((after("/abc", 2), after("/abd", 1)), (None, None));
        assert_eq!(
            (after("/a", 0), after("/c", 0), after("", 0)),
            (None, None, None)
        );
        assert_eq!(trie.latest(b"/abc"), Sequence(2));
        assert_eq!(trie.latest(b"/x"), Sequence(0));
    }

    #[test]
    fn what_a_prefix_makes_redundant_goes() {
        assert_eq!(
            noted(&[("/abc", Hard), ("/abd", Hard), ("/a", Hard)]).nodes(),
            1
        );
        assert_eq!(
            noted(&[("/abc", Soft), ("/abd", Soft), ("/a", Soft)]).nodes(),
            1
        );
        assert_eq!(
            noted(&[("/abc", Soft), ("/abd", Hard), ("/a", Hard)]).bytes(),
            size_of::<Node>() + 2
        );
        let trie = noted(&[("/abc", Hard), ("/a", Soft)]);
        assert_eq!(trie.nodes(), 2);
        assert_eq!(trie.after(b"/abc", Sequence(0)), Some(Hard));
        assert_eq!(trie.after(b"/abc", Sequence(1)), Some(Soft));
    }

    #[test]
    fn of_one_invalidation_the_shorter_prefix_is_enough() {
        let mut trie = Trie::default();
        note(&mut trie, "/a", Hard, 1);
        note(&mut trie, "/ab", Hard, 1);
        assert_eq!(trie.nodes(), 1);
        note(&mut trie, "/ab", Hard, 2);
        assert_eq!(trie.nodes(), 2);
    }

    #[test]
    fn a_prefix_too_long_is_cut() {
        let long = "x".repeat(2 * PREFIX_BYTES_MAX);
        let trie = noted(&[(&long, Hard)]);
        assert_eq!(
            trie.after(&long.as_bytes()[..PREFIX_BYTES_MAX], Sequence(0)),
            Some(Hard)
        );
        assert_eq!(
            trie.after(&long.as_bytes()[1..PREFIX_BYTES_MAX], Sequence(0)),
            None
        );
    }

    proptest! {
        /// As a list of all that was ever noted has it.
        #[test]
        fn it_agrees_with_a_list(
            noted in proptest::collection::vec(("[ab]{0,6}", any::<bool>()), 1..40),
            text in "[ab]{0,8}",
            since in 0_u64..40,
        ) {
            let mut trie = Trie::default();
            let mut list = BTreeMap::<(String, Mode), Sequence>::new();
            for (at, (prefix, hard)) in (1..).zip(&noted) {
                let mode = if *hard { Hard } else { Soft };
                note(&mut trie, prefix, mode, at);
                list.insert((prefix.clone(), mode), Sequence(at));
            }
            let of_text = || list.iter().filter(|((prefix, _), _)| text.starts_with(prefix));
            let after = of_text().filter(|&(_, &at)| at > Sequence(since));
            let wanted = after.map(|((_, mode), _)| *mode).max();
            prop_assert_eq!(trie.after(text.as_bytes(), Sequence(since)), wanted);
            let latest = of_text().map(|(_, &at)| at).max().unwrap_or_default();
            prop_assert_eq!(trie.latest(text.as_bytes()), latest);
            let root = Size { nodes: 1, label_bytes: 0 };
            prop_assert_eq!(trie.size.plus(root), trie.root.size());
        }
    }
}

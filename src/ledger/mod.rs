//! What was invalidated, by sequence number.
//!
//! Accepting an invalidation costs the same whatever is stored: it takes the next number
//! and writes it down under its marks. A fetch notes the ledger's head before it asks the
//! origin, and its answer is covered when one of its marks has a later number: stored, in
//! flight, or about to be confirmed by a 304, no clock involved.
//!
//! As long as nothing was invalidated since an answer was last looked at, looking again is
//! one comparison.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::policy::marks::{Mark, Marks, Sequence};

pub mod journal;

/// The most marks remembered: at some 40 bytes each, 40 MiB. Beyond it everything that was
/// born before is taken as covered, which costs misses and never serves what is outdated.
const MARKS_MAX: usize = 1 << 20;

/// The invalidations of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The number of the latest. Written last, with the index, under its lock.
    head: AtomicU64,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    marks: HashMap<Mark, Sequence>,
    /// Everything born before this is covered.
    floor: Sequence,
}

impl Ledger {
    /// The latest invalidation: what a fetch notes before it asks the origin.
    pub fn head(&self) -> Sequence {
        Sequence(self.0.head.load(Ordering::Acquire))
    }

    /// The latest invalidation of `mark`; before the first, and long after the last, one that
    /// everything is newer than.
    pub fn latest(&self, mark: impl FnOnce() -> Mark) -> Sequence {
        if self.head() == Sequence::default() {
            return Sequence::default();
        }
        let index = self.0.index.read().unwrap_or_else(PoisonError::into_inner);
        index.marks.get(&mark()).copied().unwrap_or(index.floor)
    }

    /// Accepts an invalidation of everything that carries one of `marks`. When it returns,
    /// nothing that was asked for before is taken as current.
    pub fn accept(&self, marks: impl IntoIterator<Item = Mark>) -> Sequence {
        let mut index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
        let next = Sequence(self.0.head.load(Ordering::Relaxed) + 1);
        for mark in marks {
            if index.marks.len() >= MARKS_MAX && !index.marks.contains_key(&mark) {
                index.marks.clear();
                index.floor = next;
            }
            index.marks.insert(mark, next);
        }
        self.0.head.store(next.0, Ordering::Release);
        next
    }

    /// Whether an answer with `marks`, asked for when the head was `born`, is covered.
    pub fn covers(&self, marks: &Marks, born: Sequence) -> bool {
        if self.head() == born {
            return false;
        }
        let index = self.0.index.read().unwrap_or_else(PoisonError::into_inner);
        let after = |mark| index.marks.get(&mark).is_some_and(|&at| at > born);
        index.floor > born || marks.iter().any(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        marks,
        tests::{ask, fields, rules},
    };

    fn marks_of(target: &str, groups: &str) -> Marks {
        Marks::of(&ask(target), &rules(), &fields(&[("cache-groups", groups)]))
    }

    fn target(target: &str) -> Mark {
        marks::target(&ask(target), &rules())
    }

    #[test]
    fn what_was_asked_for_before_is_covered_and_what_after_is_not() {
        let ledger = Ledger::default();
        let born = ledger.head();
        let marks = marks_of("/a", "");
        assert!(!ledger.covers(&marks, born));
        let at = ledger.accept([target("/a")]);
        assert!(ledger.covers(&marks, born));
        assert_eq!(ledger.head(), at);
        assert!(!ledger.covers(&marks, ledger.head()));
    }

    #[test]
    fn only_what_carries_a_mark_is_covered() {
        let ledger = Ledger::default();
        let born = ledger.head();
        ledger.accept([target("/b"), marks::group(&ask("/"), b"g")]);
        assert!(!ledger.covers(&marks_of("/a", "\"gg\""), born));
        assert!(ledger.covers(&marks_of("/a", "\"x\", \"g\""), born));
        assert!(ledger.covers(&marks_of("/b", ""), born));
    }

    #[test]
    fn the_latest_of_a_mark_is_its_own() {
        let ledger = Ledger::default();
        assert_eq!(ledger.latest(|| target("/a")), Sequence(0));
        let at = ledger.accept([target("/a")]);
        ledger.accept([target("/b")]);
        assert_eq!(ledger.latest(|| target("/a")), at);
        assert_eq!(ledger.latest(|| target("/c")), Sequence(0));
    }

    #[test]
    fn a_full_ledger_covers_everything_older() {
        let ledger = Ledger::default();
        let born = ledger.head();
        ledger.accept((0..=MARKS_MAX as u128).map(Mark));
        assert!(ledger.covers(&marks_of("/a", ""), born));
        assert!(!ledger.covers(&marks_of("/a", ""), ledger.head()));
        assert!(ledger.0.index.read().unwrap().marks.len() <= MARKS_MAX);
    }
}

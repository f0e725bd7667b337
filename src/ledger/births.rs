//! The fetches under way, by the latest invalidation when each began.
//!
//! What is noted in the ledger is needed as long as an answer may come that was asked for
//! before it; this says how far back that is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::policy::marks::Sequence;

/// How many fetches under way began at each sequence.
#[derive(Debug, Default)]
pub(super) struct Births(Mutex<BTreeMap<Sequence, usize>>);

impl Births {
    /// Enters a fetch that begins now; `head` reads the latest invalidation.
    pub(super) fn enter(&self, head: impl FnOnce() -> Sequence) -> Sequence {
        let mut births = self.births();
        // Read under the lock: whoever asks for the oldest later sees it, or an older one.
        let born = head();
        *births.entry(born).or_default() += 1;
        born
    }

    /// Takes out a fetch that ended; the oldest of those left.
    pub(super) fn leave(&self, born: Sequence) -> Option<Sequence> {
        let mut births = self.births();
        if let Some(count) = births.get_mut(&born) {
            *count -= 1;
            if *count == 0 {
                births.remove(&born);
            }
        }
        births.keys().next().copied()
    }

    /// The latest invalidation, or the oldest birth of a fetch under way if that is before it.
    pub(super) fn oldest(&self, head: impl FnOnce() -> Sequence) -> Sequence {
        let births = self.births();
        let head = head();
        births
            .keys()
            .next()
            .map_or(head, |&oldest| oldest.min(head))
    }

    fn births(&self) -> MutexGuard<'_, BTreeMap<Sequence, usize>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_that_of_a_fetch_under_way() {
        let births = Births::default();
        let enter = |at| births.enter(|| Sequence(at));
        let oldest = || births.oldest(|| Sequence(9));
        assert_eq!(oldest(), Sequence(9));
        let (two, again, five) = (enter(2), enter(2), enter(5));
        assert_eq!(oldest(), Sequence(2));
        assert_eq!(births.leave(two), Some(Sequence(2)));
        assert_eq!(births.leave(again), Some(Sequence(5)));
        assert_eq!(oldest(), Sequence(5));
        assert_eq!(births.leave(five), None);
        assert_eq!(oldest(), Sequence(9));
    }
}

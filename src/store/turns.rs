//! Turns at changing what is stored under a key.
//!
//! What is there under a key is not changed in one step: it goes, and something else comes.
//! Whoever has the turn of the key is alone between the two. Others see nothing there for that
//! moment: who wants to be sure of that waits for the turn, and a walk over all keys is told
//! which ones it may have passed by.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::policy::Key;

/// How many turns there are; keys share them. A turn is some microseconds, and only changes
/// and misses want one: 256 mutexes are 2 KiB, and a busy thread is met once in 256 times.
const TURNS: usize = 256;

/// The turns of all keys, and the walks over them.
#[derive(Debug)]
pub(super) struct Turns {
    turns: Box<[Mutex<()>]>,
    spread: RandomState,
    /// The walks under way, by number, with the keys that were away for a moment since they
    /// began: at most all that are changed during one, of 16 bytes each.
    walks: Mutex<BTreeMap<u64, HashSet<Key>>>,
}

impl Turns {
    /// Nobody's turn, and no walk under way.
    pub(super) fn new() -> Self {
        Self {
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            spread: RandomState::new(),
            walks: Mutex::default(),
        }
    }

    /// Waits for the turn of `key`, and has it until it is dropped. Who has one waits
    /// for no other.
    pub(super) fn take(&self, key: Key) -> Turn<'_> {
        let turn = self.spread.hash_one(key.0) as usize % TURNS;
        Turn {
            turns: self,
            key,
            _held: lock(&self.turns[turn]),
        }
    }

    /// Begins a walk: of every key that is away at any time from now on it is told.
    pub(super) fn walk(&self) -> Walk<'_> {
        let mut walks = lock(&self.walks);
        let number = walks.last_key_value().map_or(0, |(last, _)| last + 1);
        walks.insert(number, HashSet::new());
        drop(walks);
        // Keys that went before it began, and are still away, come back first.
        for turn in &self.turns {
            drop(lock(turn));
        }
        Walk {
            turns: self,
            number,
        }
    }
}

/// The turn of one key.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    key: Key,
    _held: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Says that the key is away from now on, and comes back before the turn ends.
    pub(super) fn away(&self) {
        for away in lock(&self.turns.walks).values_mut() {
            away.insert(self.key);
        }
    }
}

/// A walk over all keys, under way until it is dropped.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Walk<'_> {
    /// The keys that were away for a moment since it began, each once. It ends with that.
    pub(super) fn passed_by(self) -> HashSet<Key> {
        self.end()
    }

    fn end(&self) -> HashSet<Key> {
        lock(&self.turns.walks)
            .remove(&self.number)
            .unwrap_or_default()
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is locked here is whole at any time, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_told_of_what_was_away_while_it_was_under_way() {
        let turns = Turns::new();
        turns.take(Key(1)).away();
        let first = turns.walk();
        turns.take(Key(2)).away();
        let second = turns.walk();
        for key in [3, 3] {
            turns.take(Key(key)).away();
        }
        assert_eq!(first.passed_by(), HashSet::from([Key(2), Key(3)]));
        assert_eq!(second.passed_by(), HashSet::from([Key(3)]));
        drop(turns.walk());
        assert!(lock(&turns.walks).is_empty());
    }
}

//! One part of the index: which variants there are under a key, and which go first.
//!
//! That is S3-FIFO's to say (Yang et al., FIFO queues are all you need for cache eviction,
//! SOSP 2023). What is new stands in a small queue, and goes at its end unless it was asked for
//! again meanwhile; then it goes to the large one, where each hit is another round. What
//! went, and comes back soon, is not new. So a scan of keys that nobody wants twice passes
//! through the small queue and moves nothing else, and a hit moves nothing at all: it is found
//! under a lock that is shared, and leaves a mark.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::{HashTable, hash_table::Entry as Slot};

use super::{
    entries::{Entries, Line, Queue},
    variants::Variants,
};
use crate::policy::Key;

/// The share of all that is new, as a divisor; the authors' tenth.
const NEW_SHARE: u64 = 10;

/// Hits that make something new wanted: one may be of the same page view.
const WANTED_HITS: u8 = 2;

/// How many are spared at most, for having been hit, before one goes all the same: some
/// microseconds.
const SPARED_MAX: usize = 64;

/// A part of the index.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// The places of keys.
    places: HashTable<u32>,
    entries: Entries,
    new: Queue,
    wanted: Queue,
    gone: Gone,
}

/// What there is under a key once a change is through.
#[derive(Debug)]
pub(super) enum Change {
    /// What there was.
    Nothing,
    /// This, and nothing else.
    Put(Variants),
    /// Nothing.
    Remove,
}

impl Shard {
    /// What is stored under `key`, which was asked for.
    pub(super) fn find(&self, hash: u64, key: Key) -> Option<&Variants> {
        let is_it = |place: &u32| self.entries[*place].has(key);
        let entry = &self.entries[*self.places.find(hash, is_it)?];
        entry.hit();
        entry.variants()
    }

    /// Does what `becomes` makes of what is stored under `key`; what that replaces.
    pub(super) fn change(
        &mut self,
        spread: Spread,
        key: Key,
        becomes: impl FnOnce(Option<&Variants>) -> Change,
    ) -> Option<Variants> {
        let hash = spread.of(key);
        let entries = &self.entries;
        let is_it = |place: &u32| entries[*place].has(key);
        let hash_of = |place: &u32| spread.of(entries[*place].key());
        match self.places.entry(hash, is_it, hash_of) {
            Slot::Vacant(slot) => {
                let Change::Put(variants) = becomes(None) else {
                    return None;
                };
                let line = if self.gone.has(hash) {
                    Line::Wanted
                } else {
                    Line::New
                };
                let place = self.entries.add(key, variants, line);
                slot.insert(place);
                self.stand(place);
                None
            }
            Slot::Occupied(slot) => {
                let place = *slot.get();
                match becomes(self.entries[place].variants()) {
                    Change::Nothing => None,
                    Change::Remove => {
                        slot.remove();
                        self.leave(place);
                        self.entries.take(place)
                    }
                    Change::Put(variants) => {
                        let entry = self.entries.at(place);
                        let before = entry.weight();
                        let old = entry.replace(variants);
                        let now = entry.weight();
                        match entry.line {
                            Line::New => self.new.reweigh(before, now),
                            Line::Wanted => self.wanted.reweigh(before, now),
                        }
                        old
                    }
                }
            }
        }
    }

    /// Gives up what is wanted least; `None` when there is nothing.
    pub(super) fn give_up(&mut self, spread: Spread) -> Option<Variants> {
        let mut spared = 0;
        loop {
            let share = self.weight() / NEW_SHARE;
            let new = self.new.oldest().filter(|_| self.new.weight() > share);
            let place = new.or_else(|| self.wanted.oldest().or_else(|| self.new.oldest()))?;
            self.leave(place);
            let entry = self.entries.at(place);
            let (hits, was) = (entry.take_hit(), entry.line);
            let is_wanted = match was {
                Line::New => hits >= WANTED_HITS,
                Line::Wanted => hits > 0,
            };
            if is_wanted && spared < SPARED_MAX {
                spared += 1;
                if was == Line::New {
                    entry.forget_hits();
                }
                entry.line = Line::Wanted;
                self.stand(place);
                continue;
            }
            let hash = spread.of(entry.key());
            if let Ok(slot) = self.places.find_entry(hash, |&other| other == place) {
                slot.remove();
            }
            if was == Line::New {
                self.gone.add(hash, self.places.len());
            }
            return self.entries.take(place);
        }
    }

    /// What all weigh, in bytes.
    pub(super) const fn weight(&self) -> u64 {
        self.new.weight() + self.wanted.weight()
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.places.len()
    }

    /// What is in the block of this number; `None` behind the last one.
    pub(super) fn block(&self, number: usize) -> Option<Vec<(Key, Variants)>> {
        let entries = self.entries.block(number)?;
        let held = entries.filter_map(|entry| Some((entry.key(), entry.variants()?.clone())));
        Some(held.collect())
    }

    /// Puts the entry at `place` into its queue.
    fn stand(&mut self, place: u32) {
        match self.entries[place].line {
            Line::New => self.new.push(&mut self.entries, place),
            Line::Wanted => self.wanted.push(&mut self.entries, place),
        }
    }

    /// Takes the entry at `place` out of its queue.
    fn leave(&mut self, place: u32) {
        match self.entries[place].line {
            Line::New => self.new.leave(&mut self.entries, place),
            Line::Wanted => self.wanted.leave(&mut self.entries, place),
        }
    }
}

/// The new that went lately: half a hash of each, until another takes its place.
#[derive(Debug, Default)]
struct Gone(Vec<u32>);

impl Gone {
    /// Remembers one, as long as about `keys` more take before it is forgotten.
    fn add(&mut self, hash: u64, keys: usize) {
        if self.0.len() < keys {
            // All that it knew is forgotten, which costs no more than chances.
            self.0 = vec![0; keys.next_power_of_two()];
        }
        if let Some(at) = self.place(hash) {
            self.0[at] = Self::mark(hash);
        }
    }

    fn has(&self, hash: u64) -> bool {
        let at = self.place(hash);
        at.is_some_and(|at| self.0[at] == Self::mark(hash))
    }

    fn place(&self, hash: u64) -> Option<usize> {
        Some(hash as usize & self.0.len().checked_sub(1)?)
    }

    /// Never zero, which marks nothing.
    const fn mark(hash: u64) -> u32 {
        (hash >> 32) as u32 | 1
    }
}

/// Keys to hashes. A key is a hash already; the secrets keep a stranger from searching for
/// keys that share a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread(u64, u64);

impl Spread {
    /// One for this process alone.
    pub(super) fn new() -> Self {
        let secret = || RandomState::new().build_hasher().finish();
        Self(secret(), secret())
    }

    /// The hash of `key`.
    pub(super) fn of(self, key: Key) -> u64 {
        let halves = (self.0 ^ key.0 as u64, self.1 ^ (key.0 >> 64) as u64);
        let product = u128::from(halves.0) * u128::from(halves.1);
        product as u64 ^ (product >> 64) as u64
    }
}

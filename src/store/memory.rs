//! The memory tier: an index of what is stored, bounded by bytes.
//!
//! It decides only what to keep when there is too much. Freshness, staleness and invalidation
//! are for others to judge.
//!
//! Each key belongs to one of many parts by its hash; each part has a lock of its own, which
//! finds share. The bound is one for all parts, so that one large answer needs no room in a
//! part alone: what goes is taken from the heavier of two parts, that of the new answer and the
//! next in turn, which keeps them alike. What goes is given back before the change that made
//! it go returns.
//!
//! An index that is written here instead of moka's (0.12): that takes 256 bytes an entry
//! against 70, and counts and moves at each hit what is here a load; it changes weights some
//! time after the entries, and not always rightly.

use std::{
    iter,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use smallvec::SmallVec;

use super::{
    Found, Object, Unkept,
    shard::{Change, Shard, Spread},
    variants::Variants,
};
use crate::{policy::Key, time::Timestamp};

/// How many parts there are at most. Of ten million keys each has 40,000, which it moves to a
/// larger table in some milliseconds.
const PARTS_MAX: usize = 256;

/// What a part is for at least, in bytes: in one of few entries none is the least wanted.
const PART_BYTES_MIN: u64 = 8 << 20;

/// Keys to their variants.
#[derive(Debug)]
pub(super) struct Memory {
    parts: Box<[Part]>,
    spread: Spread,
    /// What all entries may weigh together, in bytes.
    max: u64,
    sums: Sums,
}

/// What changes with every entry, on a line of the processor's cache that no find reads.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Sums {
    /// What all entries weigh together, in bytes.
    weight: AtomicU64,
    keys: AtomicU64,
    evictions: AtomicU64,
    /// The part whose turn it is to make room.
    turn: AtomicUsize,
}

/// A part, on lines of the processor's cache that no other part is on.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part {
    shard: RwLock<Shard>,
    /// What its entries weigh, for those who have not its lock; written by those who have.
    weight: AtomicU64,
}

impl Part {
    /// The part is whole whenever its lock is free, whoever panicked.
    fn read(&self) -> RwLockReadGuard<'_, Shard> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// An index whose entries weigh at most `bytes` together.
    pub(super) fn new(bytes: u64) -> Self {
        let parts = usize::try_from(bytes / PART_BYTES_MIN).unwrap_or(PARTS_MAX);
        let parts = parts.clamp(1, PARTS_MAX).next_power_of_two();
        Self {
            parts: (0..parts).map(|_| Part::default()).collect(),
            spread: Spread::new(),
            max: bytes,
            sums: Sums::default(),
        }
    }

    /// The newest variant of `key` that `matches`.
    pub(super) fn find(&self, key: Key, matches: impl Fn(&Object) -> bool) -> Found {
        let hash = self.spread.of(key);
        let variants = self.parts[self.part(hash)].read().find(hash, key).cloned();
        match variants {
            None => Found::Nothing,
            Some(variants) => variants
                .find(matches)
                .map_or(Found::OtherVariants, Found::Object),
        }
    }

    /// Adds `object` to the variants of `key`, in the place of its like.
    pub(super) fn insert(
        &self,
        key: Key,
        object: Arc<Object>,
        now: Timestamp,
    ) -> Result<(), Unkept> {
        if !self.make_room(key, object.cost()) {
            // Nor does it stand beside what it was to replace.
            self.remove(key);
            return Err(Unkept::NoRoom);
        }
        let mut unkept = Ok(());
        self.change(key, |variants| match variants {
            None => Change::Put(Variants::One(object)),
            Some(variants) => match variants.with(object, now) {
                Ok(variants) => Change::Put(variants),
                Err(why) => {
                    unkept = Err(why);
                    Change::Nothing
                }
            },
        });
        unkept
    }

    /// Weighs the variants of `key` again, if `object` is still one of them and grew.
    pub(super) fn reweigh(&self, key: Key, object: &Arc<Object>) {
        self.change(key, |variants| {
            let ours = variants.filter(|variants| variants.has(object));
            ours.map_or(Change::Nothing, |ours| Change::Put(ours.clone()))
        });
        self.make_room(key, 0);
    }

    /// Forgets `object`, unless something newer has taken its place.
    pub(super) fn forget(&self, key: Key, object: &Arc<Object>) {
        self.change(key, |variants| {
            match variants.map(|variants| variants.without(object)) {
                None => Change::Nothing,
                Some(None) => Change::Remove,
                Some(Some(variants)) => Change::Put(variants),
            }
        });
    }

    /// Forgets every variant of `key`.
    pub(super) fn remove(&self, key: Key) {
        self.change(key, |_| Change::Remove);
    }

    /// Does what `becomes` makes of what is stored under `key`.
    fn change(&self, key: Key, becomes: impl FnOnce(Option<&Variants>) -> Change) {
        let part = self.part(self.spread.of(key));
        let old = self.within(part, |shard| shard.change(self.spread, key, becomes));
        // Freed by now without the lock.
        drop(old);
    }

    /// Gives up what is wanted least until there are `bytes` more for what is stored under
    /// `key`; false when there cannot be so many.
    fn make_room(&self, key: Key, bytes: u64) -> bool {
        let Some(rest) = self.max.checked_sub(bytes) else {
            return false;
        };
        let own = self.part(self.spread.of(key));
        let mut idle = 0;
        // Others may take what was made room for; where all parts are empty there is room.
        while self.sums.weight.load(Ordering::Relaxed) > rest && idle < self.parts.len() {
            let next = self.sums.turn.fetch_add(1, Ordering::Relaxed) % self.parts.len();
            let weight = |part: usize| self.parts[part].weight.load(Ordering::Relaxed);
            let heavier = if weight(own) > weight(next) {
                own
            } else {
                next
            };
            let gone = self.within(heavier, |shard| shard.give_up(self.spread));
            match gone {
                Some(_) => {
                    idle = 0;
                    self.sums.evictions.fetch_add(1, Ordering::Relaxed);
                }
                None => idle += 1,
            }
        }
        true
    }

    /// Does `work` alone with a part, and counts what that came to.
    fn within<T>(&self, part: usize, work: impl FnOnce(&mut Shard) -> T) -> T {
        let part = &self.parts[part];
        let mut shard = part.shard.write().unwrap_or_else(PoisonError::into_inner);
        let (weight, keys) = (shard.weight(), shard.keys() as u64);
        let done = work(&mut shard);
        part.weight.store(shard.weight(), Ordering::Relaxed);
        // A sum that wraps around takes away as well as it adds.
        let more = shard.weight().wrapping_sub(weight);
        self.sums.weight.fetch_add(more, Ordering::Relaxed);
        let more = (shard.keys() as u64).wrapping_sub(keys);
        self.sums.keys.fetch_add(more, Ordering::Relaxed);
        done
    }

    /// The part of a key with this hash: by bits that no table looks at.
    const fn part(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.parts.len() - 1)
    }

    /// Every object that is there all along, once: an entry does not move, and its variants
    /// change in one step. What comes or goes meanwhile may be among them. Holds no lock
    /// between two.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Key, Arc<Object>)> + Send {
        let blocks = self.parts.iter().flat_map(|part| {
            let mut number = 0;
            iter::from_fn(move || {
                let block = part.read().block(number);
                number += 1;
                block
            })
        });
        blocks.flatten().flat_map(|(key, variants)| {
            let objects: SmallVec<[_; 1]> = variants.as_slice().iter().cloned().collect();
            objects.into_iter().map(move |object| (key, object))
        })
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> u64 {
        self.sums.keys.load(Ordering::Relaxed)
    }

    /// How many were evicted for want of room.
    pub(super) fn evictions(&self) -> u64 {
        self.sums.evictions.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Memory {
    /// What the index believes that all entries weigh, and what they do.
    pub(super) fn weights(&self) -> (u64, u64) {
        let costs = self.objects().map(|(_, object)| object.cost());
        (self.sums.weight.load(Ordering::Relaxed), costs.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What shares a part in one process does not in another, so that no stranger can look
    /// for it at home: 1,000 keys that one spread puts into one of the parts.
    #[test]
    fn r10_places_are_this_processes_secret() {
        let (here, there) = (Memory::new(1 << 40), Memory::new(1 << 40));
        let part = |memory: &Memory, key| memory.part(memory.spread.of(Key(key)));
        let crowded: Vec<u128> = (0..u128::MAX)
            .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
            .filter(|&key| part(&here, key) == 7)
            .take(1_000)
            .collect();
        let mut parts = [0; PARTS_MAX];
        for key in crowded {
            parts[part(&there, key)] += 1;
        }
        // Four are to be expected in each.
        assert!(parts.iter().all(|&keys| keys < 40), "{parts:?}");
    }
}

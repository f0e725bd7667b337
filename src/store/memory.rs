//! The memory tier: moka as an index bounded by bytes.
//!
//! moka decides only what to keep when there is too much (TinyLFU). Freshness,
//! staleness and invalidation never use its clocks or predicates: they could not
//! run under ours.
//!
//! No entry is ever changed in moka: it is removed, and another is inserted. moka (0.12.16)
//! counts an update when it carries that out, some time later, but a removal by what the
//! entry weighed last, and drops updates that were not carried out by then: each time an
//! entry that changed its weight goes soon after, the difference stays in the sum for good.
//! The sum drifts above what is there, and moka makes room for nothing. What never changes
//! its weight is always counted right.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use moka::{notification::RemovalCause, ops::compute::Op, sync::Cache};
use smallvec::SmallVec;

use super::{Found, Object, Unkept, turns::Turns, variants::Variants};
use crate::{policy::Key, time::Timestamp};

/// Keys to their variants.
#[derive(Debug)]
pub(super) struct Memory {
    cache: Cache<Key, Variants, Spread>,
    turns: Turns,
    evictions: Arc<AtomicU64>,
}

impl Memory {
    /// An index whose entries weigh at most `bytes` together.
    pub(super) fn new(bytes: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = evictions.clone();
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, variants: &Variants| u32::try_from(variants.cost()).unwrap_or(u32::MAX))
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(Spread::default());
        Self {
            cache,
            turns: Turns::new(),
            evictions,
        }
    }

    /// The newest variant of `key` that `matches`.
    pub(super) fn find(&self, key: Key, matches: impl Fn(&Object) -> bool) -> Found {
        match self.cache.get(&key).or_else(|| self.come_back(key)) {
            None => Found::Nothing,
            Some(variants) => variants
                .find(matches)
                .map_or(Found::OtherVariants, Found::Object),
        }
    }

    /// What is there under a `key` that was not found, once nobody changes it.
    fn come_back(&self, key: Key) -> Option<Variants> {
        let _turn = self.turns.take(key);
        // Unlike `get` it is not counted as one more demand for the key.
        let back = self.cache.contains_key(&key);
        back.then(|| self.cache.get(&key)).flatten()
    }

    /// Adds `object` to the variants of `key`, in the place of its like.
    pub(super) fn insert(
        &self,
        key: Key,
        object: Arc<Object>,
        now: Timestamp,
    ) -> Result<(), Unkept> {
        let mut unkept = Ok(());
        self.change(key, |variants| match variants {
            None => Op::Put(Variants::One(object)),
            Some(variants) => match variants.with(object, now) {
                Ok(variants) => Op::Put(variants),
                Err(why) => {
                    unkept = Err(why);
                    Op::Nop
                }
            },
        });
        unkept
    }

    /// Weighs the variants of `key` again, if `object` is still one of them and grew.
    pub(super) fn reweigh(&self, key: Key, object: &Arc<Object>) {
        self.change(key, |variants| {
            let ours = variants.filter(|variants| variants.has(object));
            ours.map_or(Op::Nop, Op::Put)
        });
    }

    /// Forgets `object`, unless something newer has taken its place.
    pub(super) fn forget(&self, key: Key, object: &Arc<Object>) {
        self.change(key, |variants| {
            match variants.map(|variants| variants.without(object)) {
                None => Op::Nop,
                Some(None) => Op::Remove,
                Some(Some(variants)) => Op::Put(variants),
            }
        });
    }

    /// Forgets every variant of `key`.
    pub(super) fn remove(&self, key: Key) {
        let _turn = self.turns.take(key);
        self.cache.invalidate(&key);
    }

    /// Puts what `becomes` says in the place of what there is under `key`.
    fn change(&self, key: Key, becomes: impl FnOnce(Option<Variants>) -> Op<Variants>) {
        let turn = self.turns.take(key);
        let before = self.cache.get(&key);
        let was_there = before.is_some();
        match becomes(before) {
            Op::Nop => {}
            Op::Remove => self.cache.invalidate(&key),
            Op::Put(variants) => {
                if was_there {
                    turn.away();
                    self.cache.invalidate(&key);
                }
                self.cache.insert(key, variants);
            }
        }
    }

    /// Every object that is there all along, at least once: twice where its key was changed
    /// meanwhile. What comes or goes meanwhile may be among them. Holds no lock between two.
    pub(super) fn objects(&self) -> impl Iterator<Item = (Key, Arc<Object>)> + Send {
        let walk = self.turns.walk();
        let found = self.cache.iter().map(|(key, variants)| (*key, variants));
        let passed_by = iter::once_with(move || walk.passed_by())
            .flatten()
            .filter_map(|key| Some((key, self.come_back(key)?)));
        found.chain(passed_by).flat_map(|(key, variants)| {
            let objects: SmallVec<[_; 1]> = variants.as_slice().iter().cloned().collect();
            objects.into_iter().map(move |object| (key, object))
        })
    }

    /// Carries out evictions that are due.
    pub(super) fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> u64 {
        self.cache.entry_count()
    }

    /// How many were evicted for want of room.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

/// Keys to places in the index. A key is a hash already; the secrets keep a stranger from
/// searching for keys that share a place.
#[derive(Clone, Debug)]
struct Spread(u64, u64);

impl Default for Spread {
    fn default() -> Self {
        let secret = || RandomState::new().hash_one(0u8);
        Self(secret(), secret())
    }
}

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        Spreading(self.0, self.1)
    }
}

struct Spreading(u64, u64);

impl Hasher for Spreading {
    fn write_u128(&mut self, key: u128) {
        self.0 ^= key as u64;
        self.1 ^= (key >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.0) * u128::from(self.1);
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
impl Memory {
    /// What moka believes that all entries weigh, and what they do, once all is carried out.
    pub(super) fn weights(&self) -> (u64, u64) {
        self.settle();
        let real = self.cache.iter().map(|(_, variants)| variants.cost()).sum();
        (self.cache.weighted_size(), real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What shares a place in one process does not in another, so that no stranger can look
    /// for it at home: 1,000 keys that one spread puts into one of 64 places.
    #[test]
    fn r10_places_are_this_processes_secret() {
        let place = |spread: &Spread, key: u128| {
            let mut hasher = spread.build_hasher();
            hasher.write_u128(key);
            hasher.finish() % 64
        };
        let (here, there) = (Spread::default(), Spread::default());
        let crowded: Vec<u128> = (0..u128::MAX)
            .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
            .filter(|&key| place(&here, key) == 7)
            .take(1_000)
            .collect();
        let mut places = [0; 64];
        for key in crowded {
            places[place(&there, key) as usize] += 1;
        }
        // 16 are to be expected in each.
        assert!(places.iter().all(|&keys| keys < 100), "{places:?}");
    }
}

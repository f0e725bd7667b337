//! Where answers live: a byte-bounded memory of immutable objects.
//!
//! The store cannot fail a request. What it has no room for is delivered all the
//! same and not kept; what it evicted is a miss. It knows nothing of freshness:
//! callers judge what they find by `policy`.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    fields::encoding::Coding,
    policy::{Key, Meta, represent},
    time::Timestamp,
};

mod body;
mod budget;
#[cfg(test)]
mod churn;
mod entries;
mod fill;
mod head;
mod memory;
mod names;
mod object;
mod recodings;
mod shard;
mod variants;

pub use body::Body;
pub use budget::Charge;
pub use fill::{Aborted, Broken, Fill, Reader, Writer};
pub use head::{Head, Said};
pub use object::Object;
pub use recodings::{Claim, Recoded, Recoding, Recodings};

use body::Apart;
use budget::Budget;
use memory::Memory;

/// The memory of one process; clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    memory: Memory,
    budget: Arc<Budget>,
    object_max: u64,
}

/// What the store knows of a key.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Variants, none of which matches.
    OtherVariants,
    /// The newest variant that matches.
    Object(Arc<Object>),
}

/// Why an object was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unkept {
    /// The memory is full of what cannot be evicted now.
    #[error("the store has no room")]
    NoRoom,
    /// Its key has as many fresh variants as one may have.
    #[error("the key has too many variants")]
    TooManyVariants,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes accounted for: objects, their index entries, and answers being read.
    pub bytes: u64,
    /// Keys known.
    pub keys: u64,
    /// Keys evicted since the start for want of room.
    pub evictions: u64,
}

/// The share of the memory that is not for kept objects, as a divisor: it is for those
/// being read, and for objects that were evicted while a viewer still reads them.
const UNKEPT_SHARE: u64 = 8;

impl Store {
    /// A store of at most `memory` bytes, for bodies of at most `object_max` bytes.
    pub fn new(memory: u64, object_max: u64) -> Self {
        let index = Memory::new(memory - memory / UNKEPT_SHARE);
        let budget = Arc::new(Budget::new(memory));
        Self(Arc::new(Inner {
            memory: index,
            budget,
            object_max,
        }))
    }

    /// What it may hold in all, in bytes.
    pub fn memory_max(&self) -> u64 {
        self.0.budget.max()
    }

    /// The largest body that is kept, in bytes.
    pub fn object_max(&self) -> u64 {
        self.0.object_max
    }

    /// Finds the newest variant of `key` that `matches`.
    pub fn find(&self, key: Key, matches: impl Fn(&Object) -> bool) -> Found {
        self.0.memory.find(key, matches)
    }

    /// Opens an account for a body about to be read; `None` when not a byte is left.
    pub fn charge(&self, bytes: u64) -> Option<Charge> {
        self.0.budget.charge(bytes)
    }

    /// Keeps an answer whose body is `parts`.
    pub fn keep(
        &self,
        key: Key,
        (meta, headers): (Meta, &HeaderMap),
        parts: &[Bytes],
        now: Timestamp,
    ) -> Result<Arc<Object>, Unkept> {
        let body_bytes = parts.iter().map(|part| part.len() as u64).sum();
        let cost = Object::cost_of(&meta, headers, body_bytes);
        let charge = self.charge(cost).ok_or(Unkept::NoRoom)?;
        let object = Object::new(meta, headers, parts.iter().map(|part| &**part), charge);
        let object = Arc::new(object);
        self.0
            .memory
            .insert(key, object.clone(), now)
            .map(|()| object)
    }

    /// Replaces `old` by the same body under a new head.
    ///
    /// The object answers even where it was not kept.
    pub fn refresh(
        &self,
        key: Key,
        old: &Object,
        (meta, headers): (Meta, &HeaderMap),
        now: Timestamp,
    ) -> Result<Arc<Object>, Unkept> {
        let cost = Object::cost_of_refreshed(&meta, headers, old);
        let charge = self.charge(cost).ok_or(Unkept::NoRoom)?;
        let object = Arc::new(old.refreshed(meta, headers, charge));
        self.0
            .memory
            .insert(key, object.clone(), now)
            .map(|()| object)
    }

    /// The right to make `coding` of `object`, which lies under `key`; `None` when somebody has
    /// it, or had it, or there are no other codings of it, or no room for them.
    pub fn claim(&self, key: Key, object: &Arc<Object>, coding: Coding) -> Option<Claim> {
        let first = object.recodings().is_none();
        let claim = Claim::take(object, coding);
        if first {
            self.0.memory.reweigh(key, object);
        }
        claim
    }

    /// Keeps a copy of `body` beside the object of `claim`, as its body in the coding that was
    /// claimed; whether there was room for it.
    ///
    /// It goes where the object goes, and counts with it.
    pub fn recoded(&self, key: Key, claim: Claim, body: &[u8]) -> bool {
        let object = claim.object().clone();
        let own = object.head.to_map();
        let headers = represent::head(&own, claim.coding(), body.len() as u64);
        let Some(charge) = self.charge(Recoding::cost_of(&headers, body.len())) else {
            return false;
        };
        let status = object.meta.status;
        claim.keep(Recoding::new(status, &headers, body, charge));
        self.0.memory.reweigh(key, &object);
        true
    }

    /// Hands every object that is stored all along to `each`, once, until that breaks. What comes
    /// or goes meanwhile may be among them. Nobody waits for it.
    pub fn visit(&self, mut each: impl FnMut(Key, &Arc<Object>) -> ControlFlow<()>) {
        for (key, object) in self.objects() {
            if each(key, &object).is_break() {
                return;
            }
        }
    }

    /// The same one by one, for whoever pauses between.
    pub fn objects(&self) -> impl Iterator<Item = (Key, Arc<Object>)> + Send {
        self.0.memory.objects()
    }

    /// Forgets `object`, unless something newer has taken its place.
    pub fn forget(&self, key: Key, object: &Arc<Object>) {
        self.0.memory.forget(key, object);
    }

    /// Forgets every variant of `key`.
    pub fn remove(&self, key: Key) {
        self.0.memory.remove(key);
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        Usage {
            bytes: self.0.budget.taken(),
            keys: self.0.memory.keys(),
            evictions: self.0.memory.evictions(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::policy::{
        marks::{Marks, Mode, Sequence},
        settle::{self, Times},
        tests::{NOW, ask, fields, rules},
        variant::VARIANTS_MAX,
    };

    fn any(_: &Object) -> bool {
        true
    }

    /// An answer that varies by `X-A`, for a request where that is `value`.
    fn head(vary: &str, value: &str) -> (Meta, HeaderMap) {
        let mut ask = ask("/a");
        ask.headers = fields(&[("x-a", value)]).into();
        let headers = fields(&[("cache-control", "max-age=60"), ("vary", vary)]);
        let times = Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        let meta = settle::meta(&ask, &rules(), StatusCode::OK, &headers, times).unwrap();
        (meta, headers)
    }

    fn keep(store: &Store, key: u128, bytes: usize) -> Result<Arc<Object>, Unkept> {
        let (meta, headers) = head("", "");
        store.keep(
            Key(key),
            (meta, &headers),
            &[Bytes::from(vec![b'x'; bytes])],
            NOW,
        )
    }

    #[test]
    fn what_was_kept_is_found() {
        let store = Store::new(1 << 20, 1 << 10);
        keep(&store, 1, 5).unwrap();
        let Found::Object(object) = store.find(Key(1), any) else {
            panic!("not found")
        };
        assert_eq!(&*object.body(), b"xxxxx");
        assert_eq!(object.head.to_map()["cache-control"], "max-age=60");
        assert!(matches!(store.find(Key(2), any), Found::Nothing));
        assert!(matches!(
            store.find(Key(1), |_| false),
            Found::OtherVariants
        ));
        store.forget(Key(1), &object);
        assert!(matches!(store.find(Key(1), any), Found::Nothing));
    }

    #[test]
    fn every_object_is_visited_once() {
        let store = Store::new(1 << 20, 1 << 10);
        for key in 0..100 {
            keep(&store, key, 5).unwrap();
        }
        for value in ["a", "b"] {
            let (meta, headers) = head("X-A", value);
            let body = [Bytes::from_static(b"x")];
            store.keep(Key(100), (meta, &headers), &body, NOW).unwrap();
        }
        let mut seen = Vec::new();
        store.visit(|key, object| {
            seen.push((key.0, object.body().len()));
            ControlFlow::Continue(())
        });
        seen.sort_unstable();
        let wanted: Vec<_> = (0..100).map(|key| (key, 5)).chain([(100, 1); 2]).collect();
        assert_eq!(seen, wanted);
        let mut count = 0;
        store.visit(|_, _| {
            count += 1;
            ControlFlow::Break(())
        });
        assert_eq!(count, 1);
    }

    #[test]
    fn a_judgement_only_grows() {
        let store = Store::new(1 << 20, 1 << 10);
        let object = keep(&store, 1, 5).unwrap();
        let judge = |head, found| object.judge(Sequence(head), |_, _| found);
        assert_eq!(judge(0, Some(Mode::Hard)), None);
        assert_eq!(judge(3, Some(Mode::Hard)), Some(Mode::Hard));
        assert_eq!(judge(3, None), None);
        assert_eq!(judge(5, Some(Mode::Soft)), Some(Mode::Soft));
        assert_eq!(
            (judge(4, None), judge(6, None)),
            (Some(Mode::Soft), Some(Mode::Soft))
        );
        let since = |_: &Marks, since| {
            assert_eq!(since, Sequence(6));
            Some(Mode::Hard)
        };
        assert_eq!(object.judge(Sequence(7), since), Some(Mode::Hard));
    }

    #[test]
    fn forgetting_spares_what_is_newer() {
        let store = Store::new(1 << 20, 1 << 10);
        let old = keep(&store, 1, 5).unwrap();
        keep(&store, 1, 6).unwrap();
        store.forget(Key(1), &old);
        let Found::Object(object) = store.find(Key(1), any) else {
            panic!("not found")
        };
        assert_eq!(object.body().len(), 6);
    }

    #[test]
    fn the_bound_holds_under_a_flood_of_keys() {
        let memory = 1 << 20;
        let store = Store::new(memory, 1 << 10);
        for key in 0..20_000 {
            // Whether it is kept is the index's choice; that it fits is not.
            let _ = keep(&store, key, 1 << 10);
            assert!(store.usage().bytes <= memory);
        }
        assert!(store.usage().bytes > memory / 2, "{:?}", store.usage());
        assert!(store.usage().evictions > 0);
    }

    #[test]
    fn what_is_still_read_counts_though_evicted() {
        let store = Store::new(1 << 20, 1 << 20);
        let read = keep(&store, 1, 500 << 10).unwrap();
        store.forget(Key(1), &read);
        assert!(store.usage().bytes >= 500 << 10);
        drop(read);
        assert_eq!(store.usage().bytes, 0);
    }

    #[test]
    fn variants_stand_side_by_side_up_to_a_bound() {
        let store = Store::new(1 << 20, 1 << 10);
        let keep = |value: &str, now| {
            let (meta, headers) = head("X-A", value);
            store.keep(Key(1), (meta, &headers), &[Bytes::from_static(b"x")], now)
        };
        for value in 0..VARIANTS_MAX {
            keep(&value.to_string(), NOW).unwrap();
        }
        assert_eq!(keep("more", NOW).unwrap_err(), Unkept::TooManyVariants);
        keep("0", NOW).unwrap();
        // A stale one makes room.
        keep("more", Timestamp::from_unix(NOW.unix() + 61)).unwrap();
    }
}

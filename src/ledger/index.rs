//! What was invalidated when: marks and prefixes, each with its latest sequences.
//!
//! Marks lie in shards, so that a shard that grows holds up few readers, and briefly. Each
//! part has two generations: what is noted goes into the young one; [`Index::turn`] makes
//! that the old one, which [`Index::take_old`] lets go of as a whole once nothing needs it.
//! There is nothing to search for, whatever was noted.

use std::{
    collections::HashMap,
    mem,
    ops::ControlFlow,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{latest::Latest, trie::Trie};
use crate::policy::{
    marks::{Kind, Mark, Marks, Mode, Sequence},
    selector::Selector,
};

/// How many shards marks lie in: at the most marks there may be, one that grows moves some
/// ten thousand, in under a millisecond.
const SHARDS: usize = 64;

/// What a mark takes, in bytes: itself and its sequences, in a table that is between seven
/// sixteenths and seven eighths full.
const MARK_BYTES: usize = 2 * (size_of::<(Mark, Latest)>() + 1);

/// What the allocator adds to a node of the tree, which is two allocations at most.
const NODE_OVERHEAD_BYTES: usize = 2 * 16;

/// Marks and prefixes.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[Shard]>,
    prefixes: RwLock<Generations<Trie>>,
    /// The latest sequence of any mark of each kind: who looks for a kind that has nothing
    /// new need not even know its marks.
    kinds: [AtomicU64; Kind::COUNT],
    /// The latest sequence of any prefix.
    of_prefixes: AtomicU64,
    /// The latest of each mode about some queries of a path and not others.
    of_queries: RwLock<Latest>,
}

/// Some of the marks, each with its latest sequences.
#[derive(Debug, Default)]
struct Shard(RwLock<Generations<HashMap<Mark, Latest>>>);

/// What is noted since the last turn, and what was before.
#[derive(Debug, Default)]
struct Generations<T> {
    young: T,
    old: T,
}

/// How much is noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// Marks, and nodes of prefixes.
    pub(super) entries: usize,
    /// What they take, in bytes.
    pub(super) bytes: usize,
}

/// What was let go of.
#[derive(Debug)]
pub(super) struct Old {
    _marks: Vec<HashMap<Mark, Latest>>,
    _prefixes: Trie,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            prefixes: RwLock::default(),
            kinds: Default::default(),
            of_prefixes: AtomicU64::default(),
            of_queries: RwLock::default(),
        }
    }
}

impl Index {
    /// Notes that what `selector` is about was invalidated at `at`; calls come in the order of
    /// their sequences, one at a time.
    pub(super) fn note(&self, selector: Selector, mode: Mode, at: Sequence) {
        match selector {
            Selector::Mark(mark) => {
                let mut shard = write(&self.shard(mark).0);
                shard.young.entry(mark).or_default().note(mode, at);
                drop(shard);
                if matches!(mark.kind(), Kind::Page | Kind::Parameter) {
                    write(&self.of_queries).note(mode, at);
                }
                self.kinds[mark.kind() as usize].store(at.0, Ordering::Release);
            }
            Selector::Prefix(prefix) => {
                let pruned = write(&self.prefixes).young.note(&prefix, mode, at);
                // Counted and freed without the lock: there may be a million.
                let size = pruned.size();
                drop(pruned);
                write(&self.prefixes).young.forget(size);
                if prefix.contains(&b'?') {
                    write(&self.of_queries).note(mode, at);
                }
                self.of_prefixes.store(at.0, Ordering::Release);
            }
        }
    }

    /// What covers `marks` after `since`, the strongest.
    pub(super) fn after(&self, marks: &Marks, since: Sequence) -> Option<Mode> {
        let mut found = None;
        let _ = self.each(marks, since, |latest| {
            found = found.max(latest.after(since));
            if found == Some(Mode::Hard) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if found < Some(Mode::Hard) && self.of_prefixes.load(Ordering::Acquire) > since.0 {
            let prefixes = read(&self.prefixes);
            let text = marks.text();
            let young = prefixes.young.after(text, since);
            found = found.max(young).max(prefixes.old.after(text, since));
        }
        found
    }

    /// The latest invalidation that is about `marks`.
    pub(super) fn latest(&self, marks: &Marks) -> Sequence {
        let mut newest = Sequence::default();
        let _ = self.each(marks, Sequence::default(), |latest| {
            newest = newest.max(latest.newest());
            ControlFlow::Continue(())
        });
        if self.of_prefixes.load(Ordering::Acquire) > 0 {
            let prefixes = read(&self.prefixes);
            let text = marks.text();
            newest = newest.max(prefixes.young.latest(text));
            newest = newest.max(prefixes.old.latest(text));
        }
        newest
    }

    /// Hands to `each` what is noted of the marks among `marks`, where there may be something
    /// after `since`.
    fn each(
        &self,
        marks: &Marks,
        since: Sequence,
        mut each: impl FnMut(&Latest) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let of_kind = |kind: Kind| self.kinds[kind as usize].load(Ordering::Acquire) > since.0;
        if marks.is_loose() {
            each(&read(&self.of_queries))?;
        }
        for mark in marks.iter(of_kind) {
            let shard = read(&self.shard(mark).0);
            for generation in [&shard.young, &shard.old] {
                if let Some(latest) = generation.get(&mark) {
                    each(latest)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Makes all that is noted the old generation. Not to be called before the last one was
    /// dropped.
    pub(super) fn turn(&self) {
        for shard in &self.shards {
            let mut shard = write(&shard.0);
            shard.old = mem::take(&mut shard.young);
        }
        let mut prefixes = write(&self.prefixes);
        prefixes.old = mem::take(&mut prefixes.young);
    }

    /// Lets go of the old generation: whoever drops it frees it, which may take its time.
    pub(super) fn take_old(&self) -> Old {
        let marks = self
            .shards
            .iter()
            .map(|shard| mem::take(&mut write(&shard.0).old));
        Old {
            _marks: marks.collect(),
            _prefixes: mem::take(&mut write(&self.prefixes).old),
        }
    }

    /// Lets go of all.
    pub(super) fn take_all(&self) -> [Old; 2] {
        let old = self.take_old();
        self.turn();
        [old, self.take_old()]
    }

    /// How much is noted.
    pub(super) fn noted(&self) -> Noted {
        let of_shard = |shard: &Shard| {
            let shard = read(&shard.0);
            shard.young.len() + shard.old.len()
        };
        let marks: usize = self.shards.iter().map(of_shard).sum();
        let prefixes = read(&self.prefixes);
        let nodes = prefixes.young.nodes() + prefixes.old.nodes();
        let tries = prefixes.young.bytes() + prefixes.old.bytes();
        Noted {
            entries: marks + nodes,
            bytes: marks * MARK_BYTES + tries + nodes * NODE_OVERHEAD_BYTES,
        }
    }

    fn shard(&self, mark: Mark) -> &Shard {
        // The highest bits of a hash.
        &self.shards[(mark.bits() >> 48) as usize % SHARDS]
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    // No code panics while it holds a lock.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

//! What was invalidated, by sequence number.
//!
//! Accepting an invalidation costs the same whatever is stored: it takes the next number
//! and writes it down under what it is about. A fetch notes the ledger's head before it asks
//! the origin, and its answer is covered when one of its marks, or a prefix of its text, has
//! a later number: stored, in flight, or about to be confirmed by a 304, no clock involved.
//!
//! As long as nothing was invalidated since an answer was last looked at, looking again is
//! one comparison. Otherwise it is as much work as the answer has marks, and a walk down the
//! prefixes of its text, however many invalidations there were.
//!
//! What is written down is forgotten once nothing can need it: a sweep looks at every stored
//! answer ([`Ledger::horizon`], then [`Ledger::forget`]). The floor says how far back that
//! went; whatever was not looked at since counts as covered. So a mistake there, or too many
//! invalidations at once, costs misses and never serves what is outdated.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

use crate::policy::{
    marks::{Marks, Mode, Sequence},
    selector::Selector,
};

mod births;
mod index;
pub mod journal;
mod latest;
mod trie;

use births::Births;
use index::Index;

/// The most bytes of what is written down: some million marks of 66 bytes and what is needed
/// for ten thousand long prefixes. Beyond it everything that was born before is covered.
const BYTES_MAX: usize = 96 << 20;

/// The invalidations of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The number of the latest. Written last, when its notes are there.
    head: AtomicU64,
    /// Whatever was not looked at since is covered. Raised before notes are dropped, and read
    /// after they were looked for.
    floor: AtomicU64,
    /// Where the floor went when it was raised for want of room.
    raised_to: AtomicU64,
    /// How often that was.
    raises: AtomicU64,
    index: Index,
    births: Births,
    /// Whoever gives numbers, turns generations or raises the floor.
    writing: Mutex<Writing>,
    /// Rung when there is something for a sweep.
    news: Notify,
}

#[derive(Debug, Default)]
struct Writing {
    /// How many notes were made since the index was last counted.
    uncounted: usize,
    /// Its bytes then.
    counted: usize,
    /// Whether something was invalidated since a sweep began.
    due: bool,
    /// The head when the old generation of notes became so, while there is one.
    turned: Option<Sequence>,
}

/// How much a ledger holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerUsage {
    /// What is written down: marks, and nodes of prefixes.
    pub entries: u64,
    /// What that takes, in bytes.
    pub bytes: u64,
    /// Whatever was not looked at since is covered.
    pub floor: Sequence,
    /// How often the floor was raised for want of room.
    pub raises: u64,
}

/// What a sweep is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Every stored answer is to be judged by the invalidations up to this.
    pub head: Sequence,
    /// What was asked for since has no need of the notes up to this.
    oldest: Sequence,
}

/// A fetch under way: as long as it lives, what was invalidated since it began is remembered.
#[derive(Debug)]
pub struct Birth {
    born: Sequence,
    ledger: Ledger,
}

impl Ledger {
    /// The latest invalidation.
    pub fn head(&self) -> Sequence {
        Sequence(self.0.head.load(Ordering::Acquire))
    }

    /// Enters a fetch that is about to ask the origin.
    pub fn birth(&self) -> Birth {
        Birth {
            born: self.0.births.enter(|| self.head()),
            ledger: self.clone(),
        }
    }

    /// Accepts an invalidation of everything that `selectors` are about, with one number.
    /// When it returns, nothing that was asked for before is taken as current.
    pub fn accept(&self, mode: Mode, selectors: impl IntoIterator<Item = Selector>) -> Sequence {
        let mut writing = self.writing();
        let next = Sequence(self.head().0 + 1);
        for selector in selectors {
            self.0.index.note(selector, mode, next);
            writing.uncounted += 1;
        }
        let dropped = self.is_full(&mut writing).then(|| {
            self.raise(next);
            self.0.raised_to.store(next.0, Ordering::Release);
            self.0.raises.fetch_add(1, Ordering::Relaxed);
            *writing = Writing::default();
            self.0.index.take_all()
        });
        self.0.head.store(next.0, Ordering::Release);
        writing.due = true;
        drop(writing);
        drop(dropped);
        self.0.news.notify_one();
        next
    }

    /// Whether an answer with `marks` is covered, by what was invalidated after `since`: when
    /// it was asked for, or when it was last known not to be covered.
    pub fn covers(&self, marks: &Marks, since: Sequence) -> Option<Mode> {
        if self.head() <= since {
            return None;
        }
        let found = self.0.index.after(marks, since);
        // Only now: what was dropped meanwhile raised it before.
        if self.floor() > since {
            return Some(Mode::Hard);
        }
        found
    }

    /// The latest invalidation that is about `marks`, as far as it is remembered.
    pub fn latest(&self, marks: impl FnOnce() -> Marks) -> Sequence {
        if self.head() == Sequence::default() {
            return Sequence::default();
        }
        let raised_to = Sequence(self.0.raised_to.load(Ordering::Acquire));
        self.0.index.latest(&marks()).max(raised_to)
    }

    /// Goes on numbering from `head`, as after a restart: everything born before is covered.
    pub fn resume(&self, head: Sequence) {
        let mut writing = self.writing();
        let head = head.max(self.head());
        self.raise(head);
        self.0.raised_to.fetch_max(head.0, Ordering::AcqRel);
        self.0.head.store(head.0, Ordering::Release);
        writing.due = true;
        drop(writing);
        self.0.news.notify_one();
    }

    /// Waits until there is something for a sweep; at once if there was since the last time.
    /// For one sweeper only. Dropping the future loses nothing.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    /// What a sweep that begins now is to look at; `None` when it would find nothing.
    pub fn horizon(&self) -> Option<Horizon> {
        let mut writing = self.writing();
        if !writing.due && writing.turned.is_none() {
            return None;
        }
        writing.due = false;
        let head = self.head();
        let oldest = self.0.births.oldest(|| head);
        if writing.turned.is_none() {
            self.0.index.turn();
            writing.turned = Some(head);
        }
        Some(Horizon { head, oldest })
    }

    /// Forgets what nobody needs now that every stored answer was judged up to the horizon.
    /// Where a fetch that was under way may still need it, the news are rung once it ended; and
    /// at once where more was noted since what is forgotten now.
    pub fn forget(&self, horizon: Horizon) {
        let mut writing = self.writing();
        let Some(turned) = writing.turned.filter(|&turned| turned <= horizon.oldest) else {
            return;
        };
        self.raise(turned);
        writing.turned = None;
        let old = self.0.index.take_old();
        let left = self.0.index.noted();
        writing.counted = left.bytes;
        writing.uncounted = 0;
        // Those that a fetch kept from becoming the old ones.
        writing.due |= left.entries > 0;
        if writing.due {
            self.0.news.notify_one();
        }
        drop(writing);
        drop(old);
    }

    /// How much it holds.
    pub fn usage(&self) -> LedgerUsage {
        let noted = self.0.index.noted();
        LedgerUsage {
            entries: noted.entries as u64,
            bytes: noted.bytes as u64,
            floor: self.floor(),
            raises: self.0.raises.load(Ordering::Relaxed),
        }
    }

    fn floor(&self) -> Sequence {
        Sequence(self.0.floor.load(Ordering::Acquire))
    }

    fn raise(&self, floor: Sequence) {
        self.0.floor.fetch_max(floor.0, Ordering::AcqRel);
    }

    fn is_full(&self, writing: &mut Writing) -> bool {
        if writing.counted + writing.uncounted * NOTE_BYTES_MAX > BYTES_MAX {
            writing.counted = self.0.index.noted().bytes;
            writing.uncounted = 0;
        }
        writing.counted > BYTES_MAX
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // No code panics while it holds the lock.
        self.0
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one note takes at most, in bytes: the longest prefix, and two nodes for it.
const NOTE_BYTES_MAX: usize = 1_300;

impl Birth {
    /// The latest invalidation when it began.
    pub fn born(&self) -> Sequence {
        self.born
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        let inner = &self.ledger.0;
        let left = inner.births.leave(self.born);
        // The last that an old generation was kept for.
        let turned = self.ledger.writing().turned;
        let over = |turned| self.born < turned && left.is_none_or(|oldest| oldest >= turned);
        if turned.is_some_and(over) {
            inner.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;

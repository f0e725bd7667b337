//! The bytes the store may hold, counted where they are held.
//!
//! Every holder carries a [`Charge`] and gives it back when it is dropped. So
//! the count follows memory itself, an object that was evicted but is still
//! being read included, and the bound holds whatever the index believes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many bytes there are, and how many are taken.
#[derive(Debug)]
pub(super) struct Budget {
    max: u64,
    taken: AtomicU64,
}

impl Budget {
    /// A budget of `max` bytes.
    pub(super) const fn new(max: u64) -> Self {
        Self {
            max,
            taken: AtomicU64::new(0),
        }
    }

    /// The bytes there are.
    pub(super) const fn max(&self) -> u64 {
        self.max
    }

    /// The bytes taken now.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, all or none.
    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let charge = Charge {
            budget: self.clone(),
            bytes: 0,
        };
        charge.grown(bytes)
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|&sum| sum <= self.max);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }
}

/// Bytes taken from the store's budget, given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Takes `bytes` more; `false`, and nothing taken, when there are not so many.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let grown = self.budget.take(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Takes `bytes` of the same budget, all or none.
    pub(super) fn beside(&self, bytes: u64) -> Option<Self> {
        self.budget.charge(bytes)
    }

    /// The bytes taken.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn grown(mut self, bytes: u64) -> Option<Self> {
        self.grow(bytes).then_some(self)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_comes_back() {
        let budget = Arc::new(Budget::new(10));
        let mut first = budget.charge(6).unwrap();
        assert!(budget.charge(5).is_none());
        assert!(first.grow(4) && !first.grow(1));
        assert_eq!(budget.taken(), 10);
        let beside = first.beside(1);
        assert!(beside.is_none());
        drop(first);
        assert_eq!(budget.taken(), 0);
        assert!(budget.charge(u64::MAX).is_none());
    }
}

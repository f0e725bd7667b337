//! Keys whose answers turned out not to be shareable: nobody queues behind them.
//!
//! A guess that is allowed to be wrong: a forgotten key costs one wait, a key
//! remembered too long costs a few fetches that could have been one.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{policy::Key, time::Timestamp};

/// How long a key is remembered: long enough that a busy uncacheable key queues a
/// negligible share of its requests, short enough that a key which becomes cacheable is
/// coalesced again soon.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The most keys remembered: at 40 bytes each, well under a megabyte.
const KEYS_MAX: usize = 16_384;

/// Keys, each until some moment.
#[derive(Debug, Default)]
pub(super) struct Unshared(Mutex<HashMap<Key, Timestamp>>);

impl Unshared {
    /// Whether `key` is remembered.
    pub(super) fn holds(&self, key: Key, now: Timestamp) -> bool {
        self.keys().get(&key).is_some_and(|&until| now < until)
    }

    /// Remembers `key`. When there are too many, those past their time go; when none is,
    /// all do.
    pub(super) fn mark(&self, key: Key, now: Timestamp) {
        let mut keys = self.keys();
        if keys.len() >= KEYS_MAX {
            keys.retain(|_, until| now < *until);
        }
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(key, now.after(REMEMBERED));
    }

    /// Forgets `key`.
    pub(super) fn clear(&self, key: Key) {
        self.keys().remove(&key);
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Timestamp>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_000);

    #[test]
    fn a_key_is_remembered_for_its_time() {
        let unshared = Unshared::default();
        unshared.mark(Key(1), NOW);
        assert!(unshared.holds(Key(1), NOW.after(Duration::from_secs(59))));
        assert!(!unshared.holds(Key(1), NOW.after(REMEMBERED)));
        assert!(!unshared.holds(Key(2), NOW));
    }

    #[test]
    fn there_never_are_too_many() {
        let unshared = Unshared::default();
        for key in 0..2 * KEYS_MAX as u128 {
            unshared.mark(Key(key), NOW);
        }
        assert!(unshared.keys().len() <= KEYS_MAX);
        assert!(unshared.holds(Key(2 * KEYS_MAX as u128 - 1), NOW));
    }
}

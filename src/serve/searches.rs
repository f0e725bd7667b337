//! What No-Vary-Search said last of each path: under which key to look.
//!
//! A hint and no more: an answer found by it carries its own word, and without a hint a
//! request is a miss.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Way;
use crate::{
    fields::search::Variance,
    policy::{Ask, Key, Rules, search::Search},
};

/// The most paths remembered; when there are more, all are learned anew.
const PATHS_MAX: usize = 16_384;

/// The variance of paths; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Searches(Arc<Mutex<HashMap<Key, Arc<Variance>>>>);

impl Searches {
    fn paths(&self) -> MutexGuard<'_, HashMap<Key, Arc<Variance>>> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key to look under for what `plain` names.
    pub(super) fn looked_up(&self, ask: &Ask, rules: &Rules, plain: Key) -> Key {
        if !rules.no_vary_search {
            return plain;
        }
        let known = self.paths().get(&rules.key.path(ask)).cloned();
        known.map_or(plain, |variance| rules.key.key_under(ask, &variance))
    }
}

impl Way {
    /// The key to store an answer under that says this of its query, which is remembered.
    pub(super) fn stored_under(&self, search: Option<&Search>) -> Key {
        let spec = &self.rules().key;
        let mut paths = self.edge.searches.paths();
        match search {
            None => {
                paths.remove(&spec.path(&self.ask));
                spec.key(&self.ask)
            }
            Some(search) => {
                if paths.len() >= PATHS_MAX {
                    paths.clear();
                }
                paths.insert(spec.path(&self.ask), Arc::new(search.variance().clone()));
                search.key()
            }
        }
    }

    /// Whether an answer that says this of its query answers ours, which looked under `key`.
    pub(super) fn same_search(&self, key: Key, search: Option<&Search>) -> bool {
        match search {
            None => !self.rules().no_vary_search || key == self.rules().key.key(&self.ask),
            Some(search) => search.matches(&self.ask, self.rules()),
        }
    }
}

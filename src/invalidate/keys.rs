//! Whether what is stored may have been keyed otherwise than it is now.
//!
//! A reload keeps what is stored. Where it changes which parameters are in the key, what was
//! stored before cannot be found, until another reload changes them back. It must be gone
//! then, too, if its path was invalidated meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::site::{Distribution, Snapshot};

/// How each distribution was keyed since the start; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Arc<Mutex<HashMap<String, Keyed>>>);

#[derive(Debug)]
struct Keyed {
    /// How it was at first.
    by: String,
    has_changed: bool,
}

impl Keys {
    /// Notes that `site` is served from now on.
    pub(super) fn note(&self, site: &Snapshot) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for distribution in &site.distributions {
            let by = by(distribution);
            let keyed = known.entry(distribution.id.clone());
            let keyed = keyed.or_insert_with(|| Keyed {
                by: by.clone(),
                has_changed: false,
            });
            keyed.has_changed |= keyed.by != by;
        }
    }

    /// Whether a distribution was ever keyed in another way than at first.
    pub(super) fn have_changed(&self, distribution: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(distribution)
            .is_some_and(|keyed| keyed.has_changed)
    }
}

/// What decides which parameters are in a distribution's keys.
fn by(distribution: &Distribution) -> String {
    let behaviours = distribution.behaviours.iter();
    let each = behaviours.map(|one| (&one.path, &one.rules.key.query, one.rules.key.sort));
    format!("{:?}", each.collect::<Vec<_>>())
}
